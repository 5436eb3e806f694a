//! docs/metrics.md names every metric there is, in the words of the catalogue.

use std::{fs, path::Path};

const BEGIN: &str =
    "<!-- The catalogue; written by `BLESS=1 cargo nextest run -p monitoring documentation`. -->\n";
const END: &str = "<!-- The end of the catalogue. -->\n";

#[test]
fn the_documentation_has_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let table = monitoring::table();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(found, table, "run it with BLESS=1");
    }
}
