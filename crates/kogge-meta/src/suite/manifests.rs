//! Manifests: put, listed, referred to, deleted.

use kogge_types::{Digest, media_type};

use crate::attributes::Attributes;
use crate::change::Commit;
use crate::suite::{Bench, MANY, cases, image, referrer, repository, tag};

cases! {
    bytes_come_back_as_they_were_put
    a_manifest_put_again_counts_once
    a_deleted_manifest_takes_its_tags
    manifests_are_listed_in_pages
    referrers_are_listed_by_type_and_in_pages
    attributes_of_a_manifest_join_those_of_its_tag
}

async fn bytes_come_back_as_they_were_put(bench: &Bench) {
    let app = repository("app");
    let new = image(&["one", "layer"]);
    let digest = bench.put(&app, new.clone(), Some("v1")).await;
    for reference in ["v1".to_owned(), digest.to_string()] {
        let reference = reference.parse().expect("a reference");
        for _ in 0..2 {
            let found = bench.meta.manifest(bench.registry.key, &app, &reference).await.expect("read").expect("there");
            assert_eq!((found.digest, &found.body), (digest, &new.body));
            assert_eq!((found.media_type.as_str(), found.attributes), (media_type::OCI_MANIFEST, Attributes::OPEN));
        }
    }
}

async fn a_manifest_put_again_counts_once(bench: &Bench) {
    let app = repository("app");
    bench.put(&app, image(&["one"]), None).await;
    bench.clock.advance(std::time::Duration::from_secs(1));
    bench.put(&app, image(&["one"]), None).await;
    let key = bench.key(&app).await;
    let found = bench.meta.read(move |s| s.manifests(key, None, MANY)).await.expect("read");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].updated_at_us, found[0].created_at_us + 1_000_000);
    let (registry, name) = (bench.registry.key, app.clone());
    let detail = bench.meta.read(move |s| s.repository_detail(registry, &name)).await.expect("read").expect("there");
    assert_eq!(detail.manifests, 1);
}

async fn a_deleted_manifest_takes_its_tags(bench: &Bench) {
    let app = repository("app");
    let one = bench.put(&app, image(&["one"]), Some("v1")).await;
    bench.put(&app, image(&["one"]), Some("v1.0")).await;
    let two = bench.put(&app, image(&["two"]), Some("v2")).await;
    for reference in ["v1", "v1.0", "v2", &one.to_string()] {
        assert!(bench.resolve(&app, reference).await.is_some());
    }
    bench.delete_manifest(&app, one).await;
    for reference in ["v1", "v1.0", &one.to_string()] {
        assert_eq!(bench.resolve(&app, reference).await, None, "{reference}");
    }
    assert_eq!(bench.resolve(&app, "v2").await, Some(two));
    let key = bench.key(&app).await;
    assert_eq!(bench.meta.read(move |s| s.tag_names(key, "", MANY)).await.expect("read"), ["v2"]);
    assert_eq!(bench.meta.read(move |s| s.manifest_attributes(key, &one)).await.expect("read"), None);
}

async fn manifests_are_listed_in_pages(bench: &Bench) {
    let app = repository("app");
    let mut digests = Vec::new();
    for number in 0..9 {
        digests.push(bench.put(&app, image(&[&number.to_string(), "layer"]), Some(&format!("v{number}"))).await);
    }
    let sha512 = {
        let mut new = image(&["a sha512 one"]);
        new.digest = Digest::of(kogge_types::Algorithm::Sha512, &new.body);
        bench.put(&app, new, None).await
    };
    digests.push(sha512);
    digests.sort_unstable();
    let key = bench.key(&app).await;
    for limit in [1, 2, 3, 9, 10, 11] {
        let mut walked: Vec<Digest> = Vec::new();
        loop {
            let after = walked.last().copied();
            let page = bench.meta.read(move |s| s.manifests(key, after.as_ref(), limit)).await.expect("read");
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            walked.extend(page.iter().map(|manifest| manifest.digest));
        }
        assert_eq!(walked, digests, "pages of {limit}");
    }
    let new = image(&["3", "layer"]);
    let all = bench.meta.read(move |s| s.manifests(key, None, MANY)).await.expect("read");
    let found = all.iter().find(|manifest| manifest.digest == new.digest).expect("listed");
    assert_eq!(found.size, new.body.len() as u64 + 1 + 5);
    assert_eq!(
        (found.tags.as_slice(), found.config_media_type.as_deref()),
        (&["v3".to_owned()][..], Some(media_type::OCI_CONFIG))
    );
    assert_eq!((found.subject, found.attributes), (None, Attributes::OPEN));
}

async fn referrers_are_listed_by_type_and_in_pages(bench: &Bench) {
    let app = repository("app");
    let subject = bench.put(&app, image(&["one"]), None).await;
    let key = bench.key(&app).await;
    let mut signatures = Vec::new();
    let mut all = Vec::new();
    for salt in 0..10 {
        let kind = if salt % 3 == 0 { "application/sbom" } else { "application/signature" };
        let digest = bench.put(&app, referrer(&subject, kind, salt), None).await;
        all.push(digest);
        if salt % 3 != 0 {
            signatures.push(digest);
        }
    }
    let elsewhere = bench.put(&repository("other"), referrer(&subject, "application/signature", 99), None).await;
    all.sort_unstable();
    signatures.sort_unstable();
    for (kind, expected) in
        [(None, &all), (Some("application/signature"), &signatures), (Some("application/none"), &vec![])]
    {
        for limit in [1, 3, 6, 7, 10, 11] {
            let (mut after, mut walked) = (None, Vec::new());
            loop {
                let page = bench
                    .meta
                    .read(move |s| s.referrers(key, &subject, kind, after.as_ref(), limit))
                    .await
                    .expect("read");
                assert!(page.descriptors.len() <= limit);
                walked.extend(page.descriptors);
                if page.next.is_none() {
                    break;
                }
                after = page.next;
            }
            let expected: Vec<_> = expected.iter().map(|digest| format!("{{\"digest\":\"{digest}\"}}")).collect();
            assert_eq!(walked, expected, "{kind:?} in pages of {limit}");
        }
    }
    let found = bench.meta.read(move |s| s.referrer_digests(key, &subject, MANY)).await.expect("read");
    assert_eq!(found, all);
    assert!(!found.contains(&elsewhere), "referrers are of one repository");
    assert_eq!(bench.meta.read(move |s| s.referrer_digests(key, &subject, 4)).await.expect("read"), all[..4]);
    let listed = bench.meta.read(move |s| s.manifests(key, None, MANY)).await.expect("read");
    assert_eq!(listed.iter().filter(|manifest| manifest.subject == Some(subject)).count(), 10);
    bench.delete_manifest(&app, all[0]).await;
    let left = bench.meta.read(move |s| s.referrers(key, &subject, None, None, MANY)).await.expect("read");
    assert_eq!(left.descriptors.len(), 9);
}

async fn attributes_of_a_manifest_join_those_of_its_tag(bench: &Bench) {
    let app = repository("app");
    let one = bench.put(&app, image(&["one"]), Some("v1")).await;
    let key = bench.key(&app).await;
    for (of_tag, of_manifest) in (0..16).flat_map(|a| [(a, 15 - a), (15, a), (a, 15), (7, a)]) {
        let (of_tag, of_manifest) = (Attributes::from_bits(of_tag), Attributes::from_bits(of_manifest));
        bench.resolve(&app, "v1").await;
        bench.resolve(&app, &one.to_string()).await;
        bench
            .write(move |tx, registry| {
                let app = repository("app");
                let mut changes: Vec<_> =
                    tx.set_tag_attributes(registry, key, &app, &tag("v1"), of_tag)?.into_iter().collect();
                changes.extend(tx.set_manifest_attributes(registry, key, &app, &one, of_manifest)?);
                Ok(Commit::new((), changes))
            })
            .await;
        for (reference, expected) in [("v1".to_owned(), of_tag.and(of_manifest)), (one.to_string(), of_manifest)] {
            let reference = reference.parse().expect("a reference");
            let served = bench.meta.manifest(bench.registry.key, &app, &reference).await.expect("read").expect("there");
            assert_eq!(served.attributes, expected);
        }
        assert_eq!(bench.meta.read(move |s| s.manifest_attributes(key, &one)).await.expect("read"), Some(of_manifest));
    }
    let unknown = Digest::sha256(b"unknown");
    let set = bench.write(move |tx, registry| {
        let change = tx.set_manifest_attributes(registry, key, &repository("app"), &unknown, Attributes::OPEN)?;
        Ok(Commit::new(change.is_some(), change.into_iter().collect()))
    });
    assert!(!set.await);
}
