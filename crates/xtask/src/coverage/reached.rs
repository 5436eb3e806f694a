//! How many lines of each crate are reached, from what was counted for each line of each file.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result};

use super::test_code;

/// Lines that the compiler makes something of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) all: usize,
    pub(super) reached: usize,
}

/// For each crate, the lines of its `src` that are not code of tests. What is elsewhere is not counted: code of other
/// crates that is compiled into ours, and `tests`.
pub(super) fn by_crate(lcov: &str, packages: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, Lines>> {
    let mut crates: BTreeMap<_, _> = packages.keys().map(|name| (name.clone(), Lines::default())).collect();
    for (file, counts) in read(lcov)? {
        // The standard library's are not there; of ours, the name goes around by way of whoever includes it.
        let Ok(file) = fs::canonicalize(file) else { continue };
        let mut sources = packages.iter().map(|(name, folder)| (name, folder.join("src")));
        let Some((name, source)) = sources.find(|(_, source)| file.starts_with(source)) else {
            continue;
        };
        if test_code::is_module_for_tests(&file, &source)? {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let for_tests =
            test_code::lines(&text).with_context(|| format!("failed to understand {}", file.display()))?;
        let lines = crates.entry(name.clone()).or_default();
        for (number, is_reached) in counts {
            if !for_tests.iter().any(|range| range.contains(&number)) {
                lines.all += 1;
                lines.reached += usize::from(is_reached);
            }
        }
    }
    Ok(crates)
}

/// Whether each line was reached, for each file.
fn read(lcov: &str) -> Result<BTreeMap<&str, BTreeMap<usize, bool>>> {
    let mut files: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    let mut file = None;
    for line in lcov.lines() {
        if let Some(name) = line.strip_prefix("SF:") {
            file = Some(name);
        } else if let Some(counted) = line.strip_prefix("DA:") {
            let (number, count) = counted.split_once(',').context("a line without a count")?;
            let is_reached: &mut bool = files
                .entry(file.context("a count without a file")?)
                .or_default()
                .entry(number.parse().context("a line without a number")?)
                .or_default();
            *is_reached |= count != "0";
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_for_the_crate_they_are_in_unless_tests_only_have_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let package = |name: &str| (name.to_owned(), root.join(name));
        let packages: BTreeMap<_, _> = ["one", "two"].map(package).into();
        let write = |file: &str, text: &str| {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let library = write(
            "one/src/lib.rs",
            "#[cfg(test)]\nmod proofs;\nfn a() {}\nfn b() {}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n",
        );
        let proofs = write("one/src/proofs.rs", "fn d() {}\n");
        let test = write("one/tests/seam.rs", "fn e() {}\n").replace("tests/seam", "src/../tests/seam");
        let lcov = format!(
            "SF:{library}\nDA:3,7\nDA:4,0\nDA:8,1\nend_of_record\nSF:{proofs}\nDA:1,1\nend_of_record\n\
             SF:{test}\nDA:1,1\nend_of_record\nSF:/elsewhere/src/lib.rs\nDA:1,1\nend_of_record\n"
        );
        let crates = by_crate(&lcov, &packages).unwrap();
        assert_eq!(crates["one"], Lines { all: 2, reached: 1 });
        assert_eq!(crates["two"], Lines::default(), "a crate that no test reaches is told too");
    }

    #[test]
    fn a_line_is_reached_if_one_of_its_records_says_so() {
        let files = read("SF:a\nDA:1,0\nDA:2,0\nend_of_record\nSF:a\nDA:1,3\nend_of_record\n").unwrap();
        assert_eq!(files["a"], BTreeMap::from([(1, true), (2, false)]));
        assert!(read("DA:1,1\n").is_err());
        assert!(read("SF:a\nDA:1\n").is_err());
    }
}
