//! Texts that are refused, each with the place of the fault.

use permissions::cedar::{CedarPolicy, NESTING_MAX, RULE_BYTES_MAX, RULES_MAX, TEXT_BYTES_MAX, TextFault};

fn faults(text: &str) -> Vec<TextFault> {
    CedarPolicy::compile("house", None, text).err().unwrap_or_default()
}

#[test]
fn every_fault_has_its_place() {
    // Text, then for each fault: line, column, code, and a part of the message.
    type Row = (&'static str, &'static [(u32, u32, &'static str, &'static str)]);
    let table: &[Row] = &[
        ("", &[(1, 1, "empty", "no rule")]),
        ("// nothing\n", &[(2, 1, "empty", "no rule")]),
        ("permit(principal, action, resource)", &[(1, 36, "syntax", "expected")]),
        ("permit(principal, action,\n  resource) wen { true };", &[(2, 13, "syntax", "wen")]),
        ("permit(principal, action);", &[(1, 25, "syntax", "resource")]),
        (
            "forbid(principal, action, resource);\npermit(principal, action, resource) when { context.colour == 1 };",
            &[(2, 44, "type", "colour")],
        ),
        ("permit(principal, action == Action::\"run\", resource);", &[(1, 29, "type", "Action::\"run\"")]),
        ("permit(principal, action, resource == Robot::\"x\");", &[(1, 39, "type", "Robot")]),
        ("permit(principal, action, resource)\nwhen {\n  context.cwd < 3\n};", &[(3, 3, "type", "String")]),
        (
            "// é is one character\nforbid(principal, action, resource) when { \"ééé\" == context.cwd && context.cwd.x };",
            &[(2, 68, "type", "String")],
        ),
        // An attribute that not every address has must be asked for first.
        (
            "forbid(principal, action == Action::\"fetch_url\", resource) when { resource.ip.isLoopback() };",
            &[(1, 67, "type", "ip")],
        ),
        (
            "forbid(principal, action == Action::\"use_tool\", resource) when { resource.getTag(\"url\") == \"x\" };",
            &[(1, 66, "type", "tag")],
        ),
        (
            "forbid(principal, action == Action::\"run_command\", resource) when { false };",
            &[(1, 1, "ineffective", "false")],
        ),
        // A tool is never run_command's resource, so this would look like protection and be none.
        (
            "forbid(principal, action == Action::\"run_command\", resource == Tool::\"Bash\");",
            &[(1, 1, "ineffective", "impossible")],
        ),
        ("forbid(principal == ?principal, action, resource);", &[(1, 1, "template", "slots")]),
        ("@decision(\"ask\") permit(principal, action, resource);", &[(1, 1, "annotation", "forbid")]),
        ("\n  @decision(\"aks\")\nforbid(principal, action, resource);", &[(2, 3, "annotation", "\"ask\"")]),
        ("@decision forbid(principal, action, resource);", &[(1, 1, "annotation", "\"ask\"")]),
        ("@decison(\"ask\") forbid(principal, action, resource);", &[(1, 1, "annotation", "@decison")]),
        (
            "@decision(\"ask\")\n  @expires_after_seconds(\"0\") forbid(principal, action, resource);",
            &[(2, 3, "annotation", "1 to 86400")],
        ),
        (
            "@expires_after_seconds(\"86401\") @decision(\"ask\") forbid(principal, action, resource);",
            &[(1, 1, "annotation", "1 to 86400")],
        ),
        (
            "@decision(\"ask\") @expires_after_seconds(\"1h\") forbid(principal, action, resource);",
            &[(1, 18, "annotation", "@expires_after_seconds")],
        ),
        (
            "@decision(\"ask\") @expires_after_seconds(\"60\")\n@when_expired(\"ask\") forbid(principal, action, resource);",
            &[(2, 1, "annotation", "\"deny\" or \"allow\"")],
        ),
        // Terms that nothing would be asked on.
        (
            "@expires_after_seconds(\"60\") forbid(principal, action, resource);",
            &[(1, 1, "annotation", "@decision(\"ask\")")],
        ),
        (
            "@expires_after_seconds(\"60\")\n @when_expired(\"allow\")\npermit(principal, action, resource);",
            &[(1, 1, "annotation", "@decision(\"ask\")"), (2, 2, "annotation", "@decision(\"ask\")")],
        ),
        (
            "@decision(\"ask\") @when_expired(\"allow\") forbid(principal, action, resource);",
            &[(1, 18, "annotation", "@expires_after_seconds")],
        ),
        ("@id(\"\") forbid(principal, action, resource);", &[(1, 1, "annotation", "@id")]),
        ("@reason(\"a\\nb\") forbid(principal, action, resource);", &[(1, 1, "annotation", "@reason")]),
        (
            "@id(\"a\") forbid(principal, action, resource);\n@id(\"a\") permit(principal, action, resource);",
            &[(2, 1, "duplicate", "\"a\"")],
        ),
        // One that takes another's given name.
        (
            "forbid(principal, action, resource);\n@id(\"policy0\") permit(principal, action, resource);",
            &[(2, 1, "duplicate", "\"policy0\"")],
        ),
        // Two at once, in the order of the text.
        (
            "@x forbid(principal, action, resource);\nforbid(principal, action, resource) when { context.y };",
            &[(1, 1, "annotation", "@x"), (2, 44, "type", "y")],
        ),
        // Cyrillic "а" in a program's name.
        (
            "forbid(principal, action == Action::\"run_command\", resource == Command::\"b\u{430}sh\");",
            &[(1, 1, "confusable", "mixed")],
        ),
    ];
    let mut wrong = vec![];
    for (text, expected) in table {
        let found = faults(text);
        let places: Vec<_> = found.iter().map(|fault| (fault.line, fault.column, fault.code)).collect();
        let wanted: Vec<_> = expected.iter().map(|(line, column, code, _)| (*line, *column, *code)).collect();
        let said = found.iter().zip(*expected).all(|(fault, (.., part))| fault.message.contains(part));
        if places != wanted || !said {
            wrong.push(format!("{text}\n{found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn limits_have_a_place_too() {
    let rule = "forbid(principal, action, resource);\n";
    assert_eq!(faults(&rule.repeat(RULES_MAX)), []);
    let many = faults(&rule.repeat(RULES_MAX + 1));
    assert_eq!(many.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["size"], "{many:?}");

    let long = faults(&format!("{rule}{}", " ".repeat(TEXT_BYTES_MAX)));
    assert_eq!((long[0].line, long[0].code), (2, "size"));

    let nested = |depth: usize| {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        format!("forbid(principal, action, resource)\nwhen {{ {open}context.has_unknown{close} }};")
    };
    assert_eq!(faults(&nested(NESTING_MAX - 1)), []);
    let deep = faults(&nested(NESTING_MAX));
    assert_eq!((deep[0].line, deep[0].code), (2, "size"), "{deep:?}");
}

/// A text that takes the parser down as deep as its length allows must not end the server, nor must judging by it.
#[test]
fn no_text_overflows_the_stack() {
    // The longest rule that is accepted, and the longest text that is read at all.
    let within = |condition: &dyn Fn(usize) -> String| {
        [RULE_BYTES_MAX, TEXT_BYTES_MAX].map(|limit| {
            let rule = |n| format!("forbid(principal, action, resource) when {{ {} }};", condition(n));
            let per_operator = rule(1001).len() - rule(1000).len();
            let text = rule((limit - rule(0).len()) / per_operator);
            assert!(text.len() <= limit && text.len() + 30 > limit);
            text
        })
    };
    let texts = [
        within(&|n| format!("{}true", "true && ".repeat(n))),
        within(&|n| format!("{}true", "true || ".repeat(n))),
        within(&|n| format!("{}true", "if true then true else ".repeat(n))),
        within(&|n| format!("{}true{}", "if ".repeat(n), " then true else true".repeat(n))),
        within(&|n| format!("context{}", ".a".repeat(n))),
        within(&|n| format!("context{}", "[\"a\"]".repeat(n))),
        within(&|n| format!("1{} == 1", " + 1".repeat(n))),
        within(&|n| format!("1{} == 1", " * 1".repeat(n))),
        within(&|n| "(".repeat(n)),
        within(&|n| "{a:".repeat(n)),
        within(&|n| "!".repeat(n)),
        within(&|n| "-".repeat(n)),
        within(&|n| format!("{} == 1", "a::".repeat(n))),
    ];
    for text in texts.into_iter().flatten() {
        // As little as a worker of the server has.
        let compile = move || {
            if let Ok(policy) = CedarPolicy::compile("house", None, &text) {
                super::judge(&policy, &super::bash("ls"));
            }
        };
        std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(compile).unwrap().join().unwrap();
    }
}
