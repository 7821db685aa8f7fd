//! cosign: signatures as tags and as referrers, with a key pair and without any service.

use super::image::Layout;
use super::kogge::PASSWORD;
use super::over_both_schemes;
use super::sandbox::{Sandbox, digest_in};

over_both_schemes!(
    a_signature_kept_as_a_tag_is_verified,
    a_signature_kept_as_a_referrer_is_verified,
    an_attestation_is_verified,
);

/// Pushes an image and makes a key pair; returns the image's name by digest.
fn prepare(sandbox: &Sandbox) -> String {
    sandbox.run(&format!("crane auth login {} -u admin -p {PASSWORD}", sandbox.kogge.host));
    let layout = Layout::write(sandbox, "layout");
    let image = sandbox.image("signed/app:v1");
    let digest = digest_in(&sandbox.run(&format!("crane push --index {} {image}", layout.flat.display())));
    sandbox.run("cosign generate-key-pair --output-key-prefix mine");
    sandbox.run("cosign generate-key-pair --output-key-prefix other");
    // Neither a transparency log nor a timestamp authority, and no trust root to fetch.
    sandbox.run("cosign signing-config create --out services.json");
    sandbox.run("cosign trusted-root create --out root.json");
    sandbox.image(&format!("signed/app@{digest}"))
}

fn flags(sandbox: &Sandbox) -> String {
    if sandbox.is_tls() {
        format!("--registry-cacert {}", sandbox.kogge.ca().display())
    } else {
        "--allow-http-registry".to_owned()
    }
}

fn tags(sandbox: &Sandbox) -> String {
    sandbox.run(&format!("crane ls {}", sandbox.image("signed/app")))
}

fn a_signature_kept_as_a_tag_is_verified(sandbox: &Sandbox) {
    let image = prepare(sandbox);
    let flags = flags(sandbox);
    sandbox.run(&format!(
        "cosign sign {flags} --key mine.key --use-signing-config=false --tlog-upload=false --new-bundle-format=false {image}"
    ));
    let digest = digest_in(&image).replace(':', "-");
    assert!(tags(sandbox).contains(&format!("{digest}.sig")), "{}", tags(sandbox));
    let verify = format!("cosign verify {flags} --insecure-ignore-tlog=true --new-bundle-format=false");
    assert!(sandbox.run(&format!("{verify} --key mine.pub {image}")).contains("docker-manifest-digest"));
    sandbox.run_refused(&format!("{verify} --key other.pub {image}"));
}

fn a_signature_kept_as_a_referrer_is_verified(sandbox: &Sandbox) {
    let image = prepare(sandbox);
    let flags = flags(sandbox);
    let trust = "--trusted-root root.json";
    sandbox.run(&format!("cosign sign {flags} --key mine.key --signing-config services.json {trust} {image}"));
    assert_eq!(tags(sandbox).trim(), "v1", "the referrers API makes a tag needless");
    let verify = format!("cosign verify {flags} --insecure-ignore-tlog=true {trust}");
    assert!(sandbox.run(&format!("{verify} --key mine.pub {image}")).contains("docker-manifest-digest"));
    sandbox.run_refused(&format!("{verify} --key other.pub {image}"));
    let tree = sandbox.run(&format!("cosign tree {flags} {image}"));
    assert!(tree.contains("OCI referrer"), "{tree}");
}

fn an_attestation_is_verified(sandbox: &Sandbox) {
    let image = prepare(sandbox);
    let flags = flags(sandbox);
    let trust = "--trusted-root root.json";
    let kind = "--type https://example.com/review";
    sandbox.write("review.json", r#"{"reviewed":true}"#);
    sandbox.run(&format!(
        "cosign attest {flags} --key mine.key --signing-config services.json {trust} --predicate review.json {kind} {image}"
    ));
    let verify = format!("cosign verify-attestation {flags} --insecure-ignore-tlog=true {trust} {kind}");
    sandbox.run(&format!("{verify} --key mine.pub {image}"));
    sandbox.run_refused(&format!("{verify} --key other.pub {image}"));
}
