//! Services that are synced by themselves, and what can be seen and said of it.

use serde_json::Value;

use crate::support::{Node, PASSWORD, Sandbox, assert_counts, eventually};

/// Two serving nodes that are connected to each other, two-way, with an interval of a week.
fn both_ways(sandbox: &Sandbox) -> (Node, Node) {
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    a.serve();
    b.serve();
    for (from, to) in [(&a, &b), (&b, &a)] {
        from.pair(to, &["--interval", "7d", "--deletes", "trash"]);
    }
    (a, b)
}

fn service(node: &Node) -> Value {
    node.run(&["status"])["services"][0].clone()
}

/// How many runs there were.
fn runs(node: &Node) -> usize {
    node.run(&["history"])["runs"].as_array().unwrap().len()
}

/// Waits until nothing was run for a while: longer than it takes from a change to a run.
fn settled(nodes: &[&Node]) -> Vec<usize> {
    let count = || nodes.iter().map(|node| runs(node)).collect::<Vec<_>>();
    let mut last = (count(), std::time::Instant::now());
    eventually("they settled", || {
        let now = count();
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        last.1.elapsed() > std::time::Duration::from_secs(8)
    });
    last.0
}

#[test]
fn a_file_dropped_in_one_node_is_in_the_other_without_anybody_saying_so_and_then_they_settle() {
    let sandbox = Sandbox::new();
    let (a, b) = both_ways(&sandbox);
    settled(&[&a, &b]);
    a.put("2024/from a.jpg", "a");
    eventually("the file came to b", || b.files().contains_key("2024/from a.jpg"));
    b.put("2024/from b.jpg", "b");
    eventually("the file came to a", || a.files().contains_key("2024/from b.jpg"));
    let before = settled(&[&a, &b]);
    a.remove("2024/from b.jpg");
    eventually("it went to b's trash", || b.trashed() == ["b"]);
    let after = settled(&[&a, &b]);
    let more: Vec<_> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
    assert!(more.iter().all(|more| (1..=4).contains(more)), "{more:?} runs for one change");
    assert_eq!(a.files(), b.files());
}
