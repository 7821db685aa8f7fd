//! The conditions that hold a role to some repositories (ACR: "Microsoft Entra-based repository permissions").

use kogge_types::RepositoryPattern;

/// The version of the language.
pub(super) const VERSION: &str = "2.0";

const NAME: &str = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]";
/// The actions that are done to a repository.
const ACTIONS: [&str; 5] = ["content/read", "content/write", "content/delete", "metadata/read", "metadata/write"];
/// Characters of a condition that are shown in a table.
const SHOWN_CHARS_MAX: usize = 60;

/// The condition that leaves a role to the repositories of these patterns, as Azure's portal writes it; `None` when it
/// leaves all.
pub(super) fn of(patterns: &[RepositoryPattern]) -> Option<String> {
    let tests: Option<Vec<String>> = patterns.iter().map(test).collect();
    let tests = tests.filter(|tests| !tests.is_empty())?;
    let others: Vec<String> = ACTIONS
        .iter()
        .map(|action| format!("!(ActionMatches{{'Microsoft.ContainerRegistry/registries/repositories/{action}'}})"))
        .collect();
    Some(format!("(({}) OR ({}))", others.join(" AND "), tests.join(" OR ")))
}

/// `None` for the pattern that every repository fits.
fn test(pattern: &RepositoryPattern) -> Option<String> {
    match pattern {
        RepositoryPattern::All => None,
        RepositoryPattern::Prefix(prefix) => Some(format!("{NAME} StringStartsWithIgnoreCase '{prefix}'")),
        RepositoryPattern::Exact(name) => Some(format!("{NAME} StringEqualsIgnoreCase '{name}'")),
    }
}

/// What a table shows of a condition: the repositories where it is one of [`of`]'s, else its beginning.
pub(super) fn shown(condition: &str) -> String {
    if let Some(patterns) = patterns(condition) {
        return patterns.join(", ");
    }
    match condition.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &condition[..end]),
        None => condition.to_owned(),
    }
}

/// The patterns that [`of`] has made a condition of.
fn patterns(condition: &str) -> Option<Vec<String>> {
    let tests = match condition.rsplit_once(") OR (") {
        Some((_, tests)) => tests.strip_suffix("))")?,
        None => condition,
    };
    let patterns: Option<Vec<RepositoryPattern>> = tests.split(" OR ").map(pattern).collect();
    let patterns = patterns?;
    // What was understood must say the same again.
    let same = of(&patterns).as_deref() == Some(condition)
        || matches!(&patterns[..], [one] if test(one).as_deref() == Some(condition));
    same.then(|| patterns.iter().map(ToString::to_string).collect())
}

fn pattern(test: &str) -> Option<RepositoryPattern> {
    let (operator, rest) = test.strip_prefix(NAME)?.strip_prefix(' ')?.split_once(' ')?;
    let text = rest.strip_prefix('\'')?.strip_suffix('\'')?;
    match operator {
        "StringStartsWithIgnoreCase" => format!("{text}*").parse().ok(),
        "StringEqualsIgnoreCase" => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_texts(patterns: &[&str]) -> Option<String> {
        of(&patterns.iter().map(|text| text.parse().expect(text)).collect::<Vec<_>>())
    }

    #[test]
    fn a_condition_is_written_and_read_again() {
        assert_eq!(of_texts(&[]), None);
        assert_eq!(of_texts(&["team/*", "*"]), None);
        let condition = of_texts(&["team/*", "x"]).expect("a condition");
        assert!(condition.starts_with(
            "((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'}) AND "
        ));
        let end = " OR (@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'team/' \
                   OR @Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase 'x'))";
        assert!(condition.ends_with(end), "{condition}");
        assert_eq!(shown(&condition), "team/*, x");
        assert_eq!(shown(&format!("{NAME} StringEqualsIgnoreCase 'a/b'")), "a/b");
    }

    #[test]
    fn other_conditions_are_shown_as_they_are() {
        assert_eq!(shown("1 = 1"), "1 = 1");
        let long = format!("{NAME} StringNotEqualsIgnoreCase 'é'");
        assert_eq!(shown(&long).chars().count(), SHOWN_CHARS_MAX + 1);
        let narrower = of_texts(&["x"])
            .expect("a condition")
            .replace(" AND !(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/metadata/read'})", "");
        assert!(shown(&narrower).ends_with('…'), "it says something else");
    }
}
