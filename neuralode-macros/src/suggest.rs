//! "Did you mean": near misses in a closed set of words.

/// What other libraries call some of the words, in lower case.
const ELSEWHERE: &[(&str, &str)] = &[
    ("linear", "Dense"),
    ("affine", "Dense"),
    ("view", "Reshape"),
    ("unflatten", "Reshape"),
    ("concat", "Append"),
    ("adaptiveavgpool2d", "GlobalAvgPool"),
    ("swish", "silu"),
    ("kernel_size", "kernel"),
    ("eps", "epsilon"),
    ("reltol", "rtol"),
    ("abstol", "atol"),
    ("tspan", "span"),
    ("rk45", "Dopri5"),
    ("ode45", "Dopri5"),
    ("dop853", "Dopri8"),
];

/// The word closest to `found`, if it is close enough to be what was meant, or what other libraries call it.
pub(crate) fn closest<'a>(found: &str, words: &[&'a str]) -> Option<&'a str> {
    let found = found.to_lowercase();
    let meant = ELSEWHERE.iter().find(|(name, _)| *name == found);
    if let Some(word) = meant.and_then(|(_, meant)| words.iter().find(|word| *word == meant)) {
        return Some(word);
    }
    words
        .iter()
        .map(|word| (distance(&found, &word.to_lowercase()), *word))
        .filter(|(distance, word)| *distance <= (word.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The words as a list: "`a`, `b` or `c`".
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// What to say of something that is none of `words`, given the near miss: that one, else all of them.
pub(crate) fn help(closest: Option<&str>, words: &[&str]) -> String {
    closest.map_or_else(
        || format!("write {}", list(words)),
        |word| format!("did you mean `{word}`?"),
    )
}

/// Edit distance with swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&row, j) + usize::from(x != y))
                .min(at(&row, j + 1) + 1)
                .min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(&y) && b.get(j - 1) == Some(&x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = core::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_others_are_not() {
        let words = ["tanh", "relu", "sigmoid"];
        assert_eq!(closest("tnah", &words), Some("tanh"));
        assert_eq!(closest("Tanh", &words), Some("tanh"));
        assert_eq!(closest("rleu", &words), Some("relu"));
        assert_eq!(closest("sigmoyd", &words), Some("sigmoid"));
        assert_eq!(closest("softmax", &words), None);
    }

    #[test]
    fn names_of_other_libraries_are_known_where_their_words_are() {
        assert_eq!(closest("Linear", &["Dense", "Scale"]), Some("Dense"));
        assert_eq!(closest("RK45", &["Rk4", "Dopri5"]), Some("Dopri5"));
        assert_eq!(closest("Linear", &["tanh"]), None);
    }

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(list(&["a"]), "`a`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
