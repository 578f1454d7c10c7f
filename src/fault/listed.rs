//! What the catalogue knows of a fault before there is one.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{Fault, Kind};

/// A fault of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// See [`Kind::NAME`].
    pub name: &'static str,
    /// See [`Kind::SUMMARY`].
    pub summary: &'static str,
    /// See [`Kind::EXAMPLE`].
    pub example: &'static str,
    /// The schema of its parameters, with the documentation of their type.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Listed {
    pub(super) const fn of<K: Kind + JsonSchema>() -> Self {
        Self { name: K::NAME, summary: K::SUMMARY, example: K::EXAMPLE, schema: K::json_schema }
    }

    /// The fault with the parameters of its example.
    pub fn fault(&self) -> Fault {
        let text = format!("{}:\n  {}\n", self.name, self.example.replace('\n', "\n  "));
        serde_saphyr::from_str(&text).expect("every example is read by a test")
    }
}

#[cfg(test)]
mod tests {
    use super::super::CATALOGUE;

    #[test]
    fn every_example_is_the_fault_that_it_is_of_and_nothing_is_wrong_with_it() {
        for listed in CATALOGUE {
            let fault = listed.fault();
            assert_eq!(fault.name(), listed.name);
            assert_eq!(fault.wrong(), Vec::new(), "{}", listed.name);
        }
    }
}
