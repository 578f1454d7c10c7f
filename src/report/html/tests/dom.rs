//! A page as a browser takes it apart.

use std::collections::BTreeSet;

use html5ever::tendril::TendrilSink as _;
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// A page that was read by an HTML parser.
pub(super) struct Page {
    document: Handle,
    /// Whatever a strict reader would say.
    pub(super) errors: Vec<String>,
}

impl Page {
    pub(super) fn parse(text: &str) -> Self {
        let dom = html5ever::parse_document(RcDom::default(), html5ever::ParseOpts::default()).one(text);
        let errors = dom.errors.borrow().iter().map(ToString::to_string).collect();
        Self { document: dom.document, errors }
    }

    /// Every element with its ancestors' names.
    fn elements(&self) -> Vec<(Handle, String, Vec<String>)> {
        let mut found = Vec::new();
        let mut open = vec![(self.document.clone(), Vec::new())];
        while let Some((node, path)) = open.pop() {
            let mut inside: Vec<String> = path.clone();
            if let NodeData::Element { name, .. } = &node.data {
                let name = name.local.to_string();
                found.push((node.clone(), name.clone(), path));
                inside.push(name);
            }
            open.extend(node.children.borrow().iter().rev().map(|child| (child.clone(), inside.clone())));
        }
        found
    }

    pub(super) fn count(&self, name: &str) -> usize {
        self.elements().iter().filter(|(_, found, _)| found == name).count()
    }

    pub(super) fn count_in_drawings(&self, name: &str) -> usize {
        let is_in = |path: &[String]| path.iter().any(|name| name == "svg");
        self.elements().iter().filter(|(_, found, path)| found == name && is_in(path)).count()
    }

    /// The text of all elements of this name.
    pub(super) fn text_of(&self, name: &str) -> String {
        let wanted = self.elements().into_iter().filter(|(_, found, _)| found == name);
        wanted.map(|(node, _, _)| text(&node)).collect()
    }

    pub(super) fn headings(&self) -> Vec<(u8, String)> {
        let level = |name: &str| match name.as_bytes() {
            [b'h', level @ b'1'..=b'6'] => Some(level - b'0'),
            _ => None,
        };
        let headings = self.elements();
        headings.iter().filter_map(|(node, name, _)| Some((level(name)?, text(node)))).collect()
    }

    /// Every attribute: its element's name, its own, and its value.
    pub(super) fn attributes(&self) -> Vec<(String, String, String)> {
        self.elements().iter().flat_map(|(node, element, _)| attributes(node, element)).collect()
    }

    /// What is named is there, once; tables say what they hold; drawings have a text.
    pub(super) fn holds_together(&self) {
        let mut ids = BTreeSet::new();
        for (_, name, value) in self.attributes() {
            assert!(name != "id" || ids.insert(value.clone()), "two elements are `{value}`");
        }
        for (element, name, value) in self.attributes() {
            let named: Vec<&str> = match name.as_str() {
                "aria-labelledby" => value.split(' ').collect(),
                "href" => value.strip_prefix('#').into_iter().collect(),
                "clip-path" => {
                    value.strip_prefix("url(#").and_then(|id| id.strip_suffix(')')).into_iter().collect()
                }
                _ => Vec::new(),
            };
            assert!(named.iter().all(|id| ids.contains(*id)), "{element} names {value}");
        }
        for (node, element, path) in self.elements() {
            let has = |wanted: &str| attributes(&node, &element).iter().any(|(_, name, _)| name == wanted);
            match element.as_str() {
                "table" => assert!(
                    !Self { document: node.clone(), errors: Vec::new() }.text_of("caption").is_empty()
                ),
                "th" => assert!(has("scope"), "{}", text(&node)),
                "svg" => {
                    assert!(has("aria-label") || has("aria-labelledby") || has("aria-hidden"), "{path:?}");
                }
                "section" | "article" => assert!(has("aria-labelledby"), "{}", text(&node)),
                _ => {}
            }
        }
    }
}

fn attributes(node: &Handle, element: &str) -> Vec<(String, String, String)> {
    let NodeData::Element { attrs, .. } = &node.data else { return Vec::new() };
    let attrs = attrs.borrow();
    attrs
        .iter()
        .map(|attr| (element.to_owned(), attr.name.local.to_string(), attr.value.to_string()))
        .collect()
}

fn text(node: &Handle) -> String {
    let mut found = match &node.data {
        NodeData::Text { contents } => contents.borrow().to_string(),
        NodeData::Document
        | NodeData::Doctype { .. }
        | NodeData::Comment { .. }
        | NodeData::Element { .. }
        | NodeData::ProcessingInstruction { .. } => String::new(),
    };
    for child in node.children.borrow().iter() {
        found.push_str(&text(child));
    }
    found
}
