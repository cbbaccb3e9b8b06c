//! Our figures beside those of another library, as a table.

use std::collections::BTreeMap;

use crate::measure::{Results, Timing};

/// Prints the fastest way of each case in both, and how often ours fits into theirs.
pub(crate) fn print(ours: &Results, theirs: &Results) {
    let (ours, theirs) = (best(&ours.ours), best(&theirs.ours));
    println!("| case | ours | median | theirs | median | ratio |");
    println!("|---|---|---|---|---|---|");
    for (case, (our_way, our)) in &ours {
        let Some((their_way, their)) = theirs.get(case) else {
            continue;
        };
        println!(
            "| `{case}` | {our_way} | {} | {their_way} | {} | {:.2} |",
            milliseconds(our.median_ms),
            milliseconds(their.median_ms),
            their.median_ms / our.median_ms
        );
    }
    for (case, _) in theirs.iter().filter(|(case, _)| !ours.contains_key(*case)) {
        println!("| `{case}` | not measured | | | | |");
    }
}

/// Of each `case/way`, the way with the smallest median.
fn best(results: &BTreeMap<String, Timing>) -> BTreeMap<&str, (&str, &Timing)> {
    let mut best: BTreeMap<&str, (&str, &Timing)> = BTreeMap::new();
    for (name, timing) in results {
        let (case, way) = name.split_once('/').unwrap_or((name, ""));
        let fastest = best.entry(case).or_insert((way, timing));
        if timing.median_ms < fastest.1.median_ms {
            *fastest = (way, timing);
        }
    }
    best
}

fn milliseconds(x: f64) -> String {
    format!("{x:.3} ms")
}
