//! The gallery in `reports/`: what each shipped experiment came to. `make gallery` makes it of the runs that the tests do
//! anyway, and each of these runs is held to it everywhere else.
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use crate::e2e_fixture::{Desk, experiments_in, inside, shipped, text_of};
use crate::e2e_recorded::report_in;
use crate::vm;

/// What is shown of a run. Its journal is not: it is ten times as large as these, which are made of it.
const FILES: [&str; 3] = ["report.html", "report.json", "junit.xml"];
const JOURNAL: &str = "journal.jsonl";

/// What a line of the virtual machine begins with that carries a journal.
pub const HANDED_OUT: &str = "handed out: ";

/// Names the folder in which journals are kept, where the gallery is made of them.
const MAKE: &str = "SEATRIAL_GALLERY";

/// How much it may be for git to carry.
const MOST_BYTES: u64 = 12 << 20;

/// Keeps a run of a shipped experiment for the gallery, or holds it to what that shows.
pub fn show(file: &str, run: &Path) {
    if vm::is_here() {
        // The repository is not there; a line leads out of it.
        let mut small = ZlibEncoder::new(Vec::new(), Compression::best());
        small.write_all(&fs::read(run.join(JOURNAL)).expect("every run has it")).expect("memory");
        println!("{HANDED_OUT}{}", STANDARD.encode(small.finish().expect("memory")));
    } else if let Some(kept) = kept(file) {
        fs::create_dir_all(&kept).expect("the folder can be made");
        fs::copy(run.join(JOURNAL), kept.join(JOURNAL)).expect("every run has it");
    } else {
        assert_eq!(outline(run), outline(&place(file)), "{file} is not what reports/ shows: make gallery");
    }
}

/// The same for a run in the virtual machine, of what it printed.
pub fn show_handed_out(file: &str, printed: &str) {
    let line = printed.lines().find_map(|line| line.strip_prefix(HANDED_OUT));
    let small =
        STANDARD.decode(line.unwrap_or_else(|| panic!("the machine handed out no journal of {file}")));
    let run = tempfile::tempdir().expect("a temporary folder");
    let mut journal = File::create(run.path().join(JOURNAL)).expect("writable");
    io::copy(&mut ZlibDecoder::new(small.expect("whole").as_slice()), &mut journal).expect("whole");
    report_on(run.path());
    show(file, run.path());
}

/// Where the journal of a shipped experiment is kept, where the gallery is made.
fn kept(file: &str) -> Option<PathBuf> {
    std::env::var_os(MAKE).map(|folder| Path::new(&folder).join(short(file)))
}

/// Makes the reports of a journal.
fn report_on(run: &Path) {
    Desk::new().run(&["report".as_ref(), "--quiet".as_ref(), run.as_os_str()]);
    assert!(FILES.iter().all(|name| run.join(name).exists()), "no report of {}", run.display());
}

/// Makes what is shown anew, of the journals that are kept.
fn make() {
    for file in shown() {
        let (kept, place) = (kept(&file).expect("it is made"), place(&file));
        report_on(&kept);
        fs::create_dir_all(&place).expect("the repository can be written");
        for name in FILES {
            fs::copy(kept.join(name), place.join(name)).expect("just made");
        }
    }
    fs::write(shipped("reports/README.md"), index()).expect("the repository can be written");
}

/// The folder of a shipped experiment's reports.
fn place(file: &str) -> PathBuf {
    shipped("reports").join(short(file))
}

/// `STORE/NAME`.
fn short(file: &str) -> &str {
    let name = file.strip_prefix("experiments/").and_then(|name| name.strip_suffix(".yaml"));
    name.expect("a shipped experiment")
}

/// What two runs of the same experiment have in common, whatever their times and numbers.
fn outline(folder: &Path) -> Value {
    let report = report_in(folder);
    let list = |key: &str| report[key].as_array().expect("a list").clone();
    let claims: Vec<Value> =
        list("claims").iter().map(|claim| json!([claim["name"], claim["sli"]])).collect();
    let steps: BTreeSet<String> =
        list("steps").iter().map(|step| format!("{}: {}", step["step"], step["fault"])).collect();
    let page = text_of(&folder.join("report.html"));
    let claim = |text: &str| text.contains("classname=\"hypothesis.");
    // A run may have doubts, and a broken promise need not have a witness each time.
    let mut sections = between(&page, "<section aria-labelledby=\"", "\"");
    sections.retain(|title| !["reasons-title", "witness-title"].contains(title));
    // In a cluster its name ends with when it was made.
    let name = report["experiment"].as_str().expect("text");
    json!({
        "experiment": name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-'),
        "verdict": report["verdict"],
        "claims": claims,
        "steps": steps,
        "cases": text_of(&folder.join("junit.xml")).split("<testcase").filter(|case| claim(case)).count(),
        "sections": sections,
    })
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    text.split(from).skip(1).filter_map(|rest| rest.split_once(to).map(|(inside, _)| inside)).collect()
}

/// The page that lists them.
fn index() -> String {
    let mut page = String::from(
        "# Gallery\n\n\
         What each shipped experiment came to when it was last run: a page for people, `report.json` and `junit.xml`. Made by \
         `make gallery`, not by hand; the tests hold every run to it. Those below `refkv/bugs` are meant to fail.\n\n\
         | experiment | verdict | in a sentence | where |\n| --- | --- | --- | --- |\n",
    );
    for file in shown() {
        let report = report_in(&place(&file));
        let name = short(&file);
        let words = |key: &str| report[key].as_str().expect("words").replace('|', "\\|");
        page += &format!(
            "| [{name}]({name}/report.html) | {} | {} | {} |\n",
            words("verdict"),
            words("headline"),
            words("environment"),
        );
    }
    page
}

/// The shipped experiments, by their paths in the repository.
fn shown() -> Vec<String> {
    experiments_in("experiments").iter().map(|file| inside(file)).collect()
}

/// It is the last that `make gallery` does.
#[test]
fn every_shipped_experiment_is_shown_and_nothing_else() {
    if std::env::var_os(MAKE).is_some() {
        make();
    }
    let mut expected: BTreeSet<PathBuf> =
        shown().iter().flat_map(|file| FILES.map(|name| place(file).join(name))).collect();
    // The second is a picture of a page, for README.md.
    expected.extend(["reports/README.md", "reports/quickstart.png"].map(shipped));
    let found: BTreeSet<PathBuf> = files_below(&shipped("reports")).collect();
    let lacking: Vec<_> = expected.difference(&found).collect();
    let needless: Vec<_> = found.difference(&expected).collect();
    assert!(
        lacking.is_empty() && needless.is_empty(),
        "lacks {lacking:#?} and has {needless:#?}: make gallery"
    );
    let bytes: u64 = found.iter().map(|file| fs::metadata(file).expect("there").len()).sum();
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
    for file in shown() {
        let meant = if file.contains("/bugs/") { "Fail" } else { "Pass" };
        assert_eq!(report_in(&place(&file))["verdict"], meant, "{file}");
    }
    assert_eq!(text_of(&shipped("reports/README.md")), index(), "make gallery");
}

fn files_below(folder: &Path) -> Box<dyn Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    Box::new(
        entries.map(|entry| entry.expect("readable").path()).flat_map(|path| {
            if path.is_dir() { files_below(&path) } else { Box::new(std::iter::once(path)) }
        }),
    )
}
