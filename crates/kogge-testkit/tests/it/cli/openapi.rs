//! The description of the management API: the program prints it, and the documentation holds the same.

use std::path::Path;

use kogge_testkit::process::Site;
use serde_json::Value;

/// `KOGGE_OPENAPI_WRITE=1` with this test brings the documentation's copy up to date.
#[test]
fn the_documented_description_is_the_programs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let ran = site.run(&["openapi"]);
    let printed = ran.expect_success();
    assert!(!site.data_dir().exists(), "the description is nobody's in particular");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("KOGGE_OPENAPI_WRITE").is_some() {
        std::fs::write(&file, printed).expect("the description is written");
    }
    let kept = std::fs::read_to_string(&file).expect("docs/openapi.json");
    assert!(kept == printed, "docs/openapi.json is not what the program prints: see the top of this test");
    let document: Value = serde_json::from_str(printed).expect("JSON");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}
