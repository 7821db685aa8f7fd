//! notation: signatures in both envelope formats, made with a certificate of the test's own.

use std::fs;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;

use super::image::Layout;
use super::kogge::PASSWORD;
use super::over_both_schemes;
use super::sandbox::{Sandbox, digest_in};

over_both_schemes!(signatures_in_both_formats_are_listed_and_verified);

/// Makes a key with a self-signed certificate, and a policy that trusts it alone.
fn configure(sandbox: &Sandbox) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Kogge test signer");
    params.distinguished_name.push(DnType::OrganizationName, "Kogge");
    params.distinguished_name.push(DnType::CountryName, "DE");
    params.distinguished_name.push(DnType::StateOrProvinceName, "Hamburg");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let key = KeyPair::generate().expect("a key can be made");
    let certificate = params.self_signed(&key).expect("a certificate can be made");
    let key_path = sandbox.write("signer.key", key.serialize_pem());
    let certificate_path = sandbox.write("home/config/notation/truststore/x509/ca/kogge/signer.crt", certificate.pem());
    let keys = json!({"default": "signer", "keys": [
        {"name": "signer", "keyPath": key_path, "certPath": certificate_path},
    ]});
    sandbox.write("home/config/notation/signingkeys.json", keys.to_string());
    let policy = json!({"version": "1.0", "trustPolicies": [{
        "name": "signed",
        "registryScopes": ["*"],
        "signatureVerification": {"level": "strict"},
        "trustStores": ["ca:kogge"],
        "trustedIdentities": ["*"],
    }]});
    let policy_path = sandbox.write("home/config/notation/trustpolicy.json", policy.to_string());
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(policy_path, private).expect("permissions can be set");
}

fn signatures_in_both_formats_are_listed_and_verified(sandbox: &Sandbox) {
    configure(sandbox);
    let flags = if sandbox.is_tls() { "" } else { "--insecure-registry" };
    sandbox.run(&format!("crane auth login {} -u admin -p {PASSWORD}", sandbox.kogge.host));
    let layout = Layout::write(sandbox, "layout");
    let tag = sandbox.image("signed/notation:v1");
    let digest = digest_in(&sandbox.run(&format!("crane push --index {} {tag}", layout.flat.display())));
    let image = sandbox.image(&format!("signed/notation@{digest}"));
    sandbox.run_refused(&format!("notation verify {flags} {image}"));
    for format in ["jws", "cose"] {
        sandbox.run(&format!("notation sign {flags} --force-referrers-tag=false --signature-format {format} {image}"));
    }
    let listed = sandbox.run(&format!("notation list {flags} {image}"));
    assert_eq!(listed.matches("── sha256:").count(), 2, "{listed}");
    let inspected = sandbox.run(&format!("notation inspect {flags} {image}"));
    assert!(inspected.contains("application/jose+json") && inspected.contains("application/cose"), "{inspected}");
    sandbox.run(&format!("notation verify {flags} {image}"));
    assert_eq!(sandbox.run(&format!("crane ls {}", sandbox.image("signed/notation"))).trim(), "v1");
}
