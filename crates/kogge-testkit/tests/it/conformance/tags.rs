//! Listing tags: order, pages, and where they go on.

use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::Reply;

use super::new_repository;

/// In the order of their bytes.
const TAGS: [&str; 8] = ["1.0", "1.0.1", "B", "_x", "a", "a-b", "b", "v10"];

fn names(reply: &Reply) -> Vec<String> {
    let body = reply.json();
    let tags = body["tags"].as_array().unwrap_or_else(|| panic!("{body}"));
    tags.iter().map(|tag| tag.as_str().expect("tags are strings").to_owned()).collect()
}

/// The target of a `Link` header that leads to the next page.
fn next(reply: &Reply) -> Option<String> {
    let link = reply.header("link")?;
    let (target, relation) = link.strip_prefix('<')?.split_once('>')?;
    assert_eq!(relation.trim_start_matches([';', ' ']), r#"rel="next""#, "{link}");
    let uri: http::Uri = target.parse().expect("a link leads to a URI");
    uri.path_and_query().map(ToString::to_string)
}

#[tokio::test]
async fn tags_come_in_byte_order_from_where_and_as_many_as_asked() {
    let (_registry, repository) = new_repository("team/app").await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    repository.push(&image).await;
    for tag in ["b", "v10", "a", "B", "1.0.1", "a-b", "_x", "1.0"] {
        repository.put_manifest(tag, image.root()).await.expect_status(201);
    }
    for (query, expected, goes_on) in [
        ("", &TAGS[..], false),
        ("?last=_x", &TAGS[4..], false),
        ("?last=C", &TAGS[3..], false),
        ("?last=zzz", &[], false),
        ("?n=3", &TAGS[..3], true),
        ("?n=3&last=B", &TAGS[3..6], true),
        ("?n=3&last=a", &TAGS[5..], false),
        ("?n=8", &TAGS[..], false),
        ("?n=100", &TAGS[..], false),
        ("?n=0", &[], false),
        ("?n=0&last=a", &[], false),
    ] {
        let reply = repository.tags(query).await.expect_status(200);
        assert_eq!(names(&reply), expected, "{query}");
        assert_eq!(reply.json()["name"], "team/app");
        assert_eq!(next(&reply).is_some(), goes_on, "{query}: {:?}", reply.headers);
    }
    for query in ["?n=-1", "?n=many", "?n=1.5"] {
        repository.tags(query).await.expect_status(400);
    }
}

#[tokio::test]
async fn links_lead_through_all_tags_once() {
    let (_registry, repository) = new_repository("team/app").await;
    let image = ImageBuilder::new(&mut Seed::new(2)).build();
    repository.push(&image).await;
    for tag in TAGS {
        repository.put_manifest(tag, image.root()).await.expect_status(201);
    }
    for page in 1..=TAGS.len() {
        let mut seen = Vec::new();
        let mut path = Some(repository.path(format_args!("tags/list?n={page}")));
        while let Some(at) = path {
            let reply = repository.client().get(at).send().await.expect_status(200);
            seen.extend(names(&reply));
            assert!(seen.len() <= TAGS.len(), "{seen:?}");
            path = next(&reply);
        }
        assert_eq!(seen, TAGS, "pages of {page}");
    }
}
