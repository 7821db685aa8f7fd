//! `Link` headers (RFC 8288): where the next page of a listing is.

/// The target of the first link whose relation is `next`.
pub(crate) fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let parameters_end = end_before(after, ',');
        if has_relation_next(&after[..parameters_end]) {
            return Some(target.trim());
        }
        rest = &after[parameters_end..];
    }
}

/// Where the text before the first `separator` that is not within quotes ends.
fn end_before(text: &str, separator: char) -> usize {
    let mut quoted = false;
    for (position, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            other if other == separator && !quoted => return position,
            _ => {}
        }
    }
    text.len()
}

fn has_relation_next(parameters: &str) -> bool {
    let mut rest = parameters;
    while !rest.is_empty() {
        let (parameter, after) = rest.split_at(end_before(rest, ';'));
        if parameter.split_once('=').is_some_and(|(name, value)| is_relation_next(name, value)) {
            return true;
        }
        rest = after.strip_prefix(';').unwrap_or(after);
    }
    false
}

fn is_relation_next(name: &str, value: &str) -> bool {
    let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        let check = |header: &str, expected: Option<&str>| assert_eq!(next(header), expected, "{header}");
        check(r#"</v2/_catalog?last=a&n=2&orderby=>; rel="next""#, Some("/v2/_catalog?last=a&n=2&orderby="));
        check("<https://r.io/v2/x/tags/list?last=a,b>; rel=next", Some("https://r.io/v2/x/tags/list?last=a,b"));
        check(r#"</a>; rel="prev", </b>; title="x, y"; rel="last next""#, Some("/b"));
        check(r#"</a>;rel="prev""#, None);
        check("</a", None);
        check("", None);
        check(r#"</a>; title="</b>; rel=next""#, None);
    }
}
