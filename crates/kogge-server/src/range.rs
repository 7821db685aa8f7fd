//! Byte ranges: `Range` (RFC 9110, 14.2) and the `Content-Range` of an upload's chunk.

use std::ops::Range;

use kogge_core::Window;
use kogge_types::limits;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// Everything: there is no range, or none that must be honoured.
    Whole,
    /// These parts, each within the content, in the order that they were asked for.
    Parts(Vec<Range<u64>>),
    /// None of the ranges lies within the content.
    Unsatisfiable,
}

/// Reads `header` for a content of `size` bytes. A malformed header is ignored, as is one with more ranges than are
/// served.
pub(crate) fn parse_ranges(header: &str, size: u64) -> Ranges {
    let Some(list) = header.trim().strip_prefix("bytes=") else { return Ranges::Whole };
    let mut parts = Vec::new();
    let mut asked = 0;
    for spec in list.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        asked += 1;
        match parse_range(spec, size) {
            Spec::Part(part) => parts.push(part),
            Spec::Outside => {}
            Spec::Malformed => return Ranges::Whole,
        }
    }
    match (asked, parts.len()) {
        (0, _) => Ranges::Whole,
        (_, 0) => Ranges::Unsatisfiable,
        (asked, _) if asked > limits::BYTE_RANGES_MAX => Ranges::Whole,
        // Parts that overlap must not make more of the content than there is (RFC 9110, 14.2).
        _ if parts.iter().map(|part| part.end - part.start).sum::<u64>() > size => Ranges::Whole,
        _ => Ranges::Parts(parts),
    }
}

enum Spec {
    Part(Range<u64>),
    Outside,
    Malformed,
}

fn parse_range(spec: &str, size: u64) -> Spec {
    let Some((first, last)) = spec.split_once('-') else { return Spec::Malformed };
    match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => match suffix {
            0 => Spec::Outside,
            suffix if size > 0 => Spec::Part(size.saturating_sub(suffix)..size),
            _ => Spec::Outside,
        },
        (Some(first), None) if last.is_empty() && first < size => Spec::Part(first..size),
        (Some(_), None) if last.is_empty() => Spec::Outside,
        // A range that ends before it begins is invalid; saying so helps more than sending everything.
        (Some(first), Some(last)) if first > last || first >= size => Spec::Outside,
        (Some(first), Some(last)) => Spec::Part(first..last.saturating_add(1).min(size)),
        _ => Spec::Malformed,
    }
}

/// Reads the `Content-Range` of a chunk: `first-last`, with or without `bytes` and a total.
pub(crate) fn parse_window(header: &str) -> Option<Window> {
    let text = header.trim();
    let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches([' ', '=']));
    let (range, total) = text.split_once('/').unwrap_or((text, "*"));
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" { limits::BLOB_BYTES_MAX } else { number(total)? };
    (first <= last && last < total.min(limits::BLOB_BYTES_MAX)).then_some(Window { first, last })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let parts = |list: &[(u64, u64)]| Ranges::Parts(list.iter().map(|(from, to)| *from..*to).collect());
        for (header, expected) in [
            ("bytes=0-99", parts(&[(0, 100)])),
            ("bytes=500-1499", parts(&[(500, 1500)])),
            ("bytes=500-", parts(&[(500, 2048)])),
            ("bytes=-500", parts(&[(1548, 2048)])),
            ("bytes=-5000", parts(&[(0, 2048)])),
            ("bytes=2000-5000", parts(&[(2000, 2048)])),
            ("bytes=0-0, 10-19,-1", parts(&[(0, 1), (10, 20), (2047, 2048)])),
            ("bytes=0-1,5000-6000", parts(&[(0, 2)])),
            ("bytes=0-,0-", Ranges::Whole),
            ("bytes=500-0", Ranges::Unsatisfiable),
            ("bytes=2048-", Ranges::Unsatisfiable),
            ("bytes=5000-10000", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=99999999999999999999999-", Ranges::Unsatisfiable),
            ("bytes=", Ranges::Whole),
            ("bytes=a-b", Ranges::Whole),
            ("bytes=1-2-3", Ranges::Whole),
            ("bytes=+1-2", Ranges::Whole),
            ("items=0-1", Ranges::Whole),
        ] {
            assert_eq!(parse_ranges(header, 2048), expected, "{header}");
        }
        assert_eq!(parse_ranges("bytes=0-", 0), Ranges::Unsatisfiable);
        let many = |count: usize| {
            let ranges: Vec<String> = (0..count).map(|at| format!("{at}-{at}")).collect();
            format!("bytes={}", ranges.join(","))
        };
        assert!(matches!(parse_ranges(&many(limits::BYTE_RANGES_MAX), 1000), Ranges::Parts(_)));
        assert_eq!(parse_ranges(&many(limits::BYTE_RANGES_MAX + 1), 1000), Ranges::Whole);
    }

    #[test]
    fn windows() {
        for good in ["0-1023", "bytes 0-1023/*", "bytes 0-1023/1024", "bytes=0-1023", " 0-1023 "] {
            assert_eq!(parse_window(good), Some(Window { first: 0, last: 1023 }), "{good}");
        }
        for bad in ["", "5-4", "-5", "5-", "a-b", "0-1-2", "0-99999999999999999999", "1 - 2", "4-7/4", "4-7/x"] {
            assert_eq!(parse_window(bad), None, "{bad}");
        }
    }
}
