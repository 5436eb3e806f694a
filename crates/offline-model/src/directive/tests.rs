//! The directive language as a table.

use std::num::NonZeroU32;

use serde_json::json;

use super::*;

fn steps(prompt: &str) -> Vec<Step> {
    parse(prompt).unwrap().unwrap()
}

fn step(prompt: &str) -> Step {
    let mut steps = steps(prompt);
    assert_eq!(steps.len(), 1, "{prompt}");
    steps.remove(0)
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn tool(name: &str, input: Value, wanted: Wanted) -> Block {
    Block::ToolUse { name: name.to_owned(), input, wanted }
}

#[test]
fn prompts_without_directives_have_no_steps() {
    for prompt in
        ["", "hello", "a [[ b", "[[Text:x]]", "[[unknown:x]]", "[[text:never closed", "if [[ -f x ]]"]
    {
        assert_eq!(parse(prompt), Ok(None), "{prompt}");
    }
}

#[test]
fn content_directives_keep_their_order() {
    let table = [
        ("[[text:a b]]", vec![text("a b")]),
        ("x [[text:a]] y [[think:b]]", vec![text("a"), Block::Thinking("b".to_owned())]),
        ("[[recall]][[endless]]", vec![Block::Recall, Block::Endless]),
        ("[[clock:3]]", vec![Block::Clock(3)]),
        ("[[big:3]]", vec![text("012")]),
        ("[[words:3]]", vec![text("w0 w1 w2")]),
        ("[[deltas:2]]", vec![text("abcdefg abcdefg ")]),
        ("[[tool:Bash]]", vec![tool("Bash", json!({}), Wanted::IfOffered)]),
        (
            r#"[[tool:Bash {"command":"[[ -f x ]] && echo"}]]"#,
            vec![tool("Bash", json!({"command": "[[ -f x ]] && echo"}), Wanted::IfOffered)],
        ),
        (
            r#"[[tool!: mcp__a__b {"deep":{"list":[[1]]}} ]]!"#,
            vec![tool("mcp__a__b", json!({"deep": {"list": [[1]]}}), Wanted::Always)],
        ),
        // A directive for a subagent belongs to the tool call that carries it.
        (
            r#"[[tool:Agent {"prompt":"[[tool:Bash {\"command\":\"id\"}]]"}]][[text:z]]"#,
            vec![
                tool("Agent", json!({"prompt": r#"[[tool:Bash {"command":"id"}]]"#}), Wanted::IfOffered),
                text("z"),
            ],
        ),
        ("[[nonsense:[[text:inside]]", vec![text("inside")]),
    ];
    for (prompt, blocks) in table {
        assert_eq!(step(prompt).blocks, blocks, "{prompt}");
    }
}

#[test]
fn next_separates_steps() {
    let steps = steps("[[text:a]][[delay:5]][[next]][[next]][[text:b]]");
    assert_eq!(steps.len(), 3);
    assert_eq!((steps[0].delay_ms, &steps[0].blocks), (5, &vec![text("a")]));
    assert_eq!(steps[1], Step::default());
    assert_eq!(steps[2].blocks, vec![text("b")]);
}

#[test]
fn timing_and_the_rest_are_read() {
    let step = step(
        "[[first:1]][[chunk_delay:2]][[burst:9]][[chunk:3]][[cut:4]][[hang]][[stop:refusal]][[model:m]][[sse_error:e]]\
         [[usage:in=1, out=2,cr=3,cw=4,cw1h=5,search=6]][[speed:fast]][[header:X-A = b=c]][[error:529 times=2 retry_after=0.5]]",
    );
    assert_eq!(
        (step.first_ms, step.chunk_delay_ms, step.chunk_chars, step.cut_after),
        (1, 2, Some(3), Some(4))
    );
    assert_eq!(step.burst.map(NonZeroU32::get), Some(9));
    assert!(step.hang);
    assert_eq!(step.speed.as_deref(), Some("fast"));
    assert_eq!(step.stop.as_deref(), Some("refusal"));
    assert_eq!(step.model.as_deref(), Some("m"));
    assert_eq!(step.sse_error.as_deref(), Some("e"));
    let tokens = Tokens {
        input: Some(1),
        output: Some(2),
        cache_read: 3,
        cache_write_5m: 4,
        cache_write_1h: 5,
        thinking: None,
        web_searches: 6,
    };
    assert_eq!(step.tokens, tokens);
    assert_eq!(step.headers, vec![("x-a".parse().unwrap(), "b=c".parse().unwrap())]);
    let fault = Fault {
        status: StatusCode::from_u16(529).unwrap(),
        times: Some(2),
        retry_after: Some("0.5".to_owned()),
    };
    assert_eq!(step.fault, Some(fault));
}

#[test]
fn iterations_keep_their_order() {
    let step =
        step("[[iteration:compaction in=5,cw1h=6]][[iteration:advisor_message claude-opus-4-6 out=7]]");
    let compaction = Tokens { input: Some(5), cache_write_1h: 6, ..Tokens::default() };
    let advice = Tokens { output: Some(7), ..Tokens::default() };
    assert_eq!(
        step.iterations,
        [
            Iteration { kind: "compaction".to_owned(), model: None, tokens: compaction },
            Iteration {
                kind: "advisor_message".to_owned(),
                model: Some("claude-opus-4-6".to_owned()),
                tokens: advice
            },
        ]
    );
}

#[test]
fn bad_arguments_name_their_directive() {
    let table = [
        ("[[delay:soon]]", "delay"),
        ("[[chunk:0]]", "chunk"),
        ("[[big:99999999999]]", "big"),
        ("[[usage:tokens=1]]", "usage"),
        ("[[usage:in=]]", "usage"),
        ("[[iteration:message]]", "iteration"),
        ("[[iteration:message m tokens=1]]", "iteration"),
        ("[[header:none]]", "header"),
        ("[[error:200]]", "error"),
        ("[[error:500 often=1]]", "error"),
        ("[[tool: {}]]", "tool"),
        ("[[tool:Bash {command}]]", "tool"),
    ];
    for (prompt, directive) in table {
        let error = parse(prompt).unwrap_err();
        assert_eq!(error.directive, directive, "{prompt}");
    }
}
