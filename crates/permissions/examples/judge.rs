//! Reads lines between NULs and prints each with its verdict.
use std::io::Read;
fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let policy = permissions::CommandPolicy::new(
        permissions::CommandPattern::list("rm -rf, sudo rm, format, mkfs, dd").unwrap(),
    );
    let mut counts = std::collections::BTreeMap::new();
    for line in text.split('\0').filter(|line| !line.is_empty()) {
        let opinion = policy.judge_line(line);
        *counts.entry(format!("{:?} {}", opinion.verdict, opinion.rule)).or_insert(0) += 1;
        if opinion.verdict == domain::Verdict::Abstain {
            println!("{line:?}");
        }
        if opinion.rule == "unparsable" && std::env::args().len() > 1 {
            println!("   UNPARSABLE {line:?} {}", opinion.reason);
        }
    }
    println!("{counts:?}");
}
