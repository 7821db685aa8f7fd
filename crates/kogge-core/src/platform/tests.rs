//! Configs that say what their image runs on, and such as do not.

use kogge_types::manifest::Platform;
use kogge_types::{limits, media_type};

use crate::core::Settings;
use crate::fixture::{Bench, bench, bench_with, image, settings};

async fn platform(bench: &Bench, config: &[u8]) -> Option<Platform> {
    let digest = bench.push("app", "v1", &[config]).await;
    bench.core.describe_manifest(&bench.target("app"), &digest).await.unwrap().platform
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_says_what_its_image_runs_on() {
    let bench = bench().await;
    let linux =
        |architecture: &str| Some(Platform { architecture: architecture.into(), os: "linux".into(), variant: None });
    let found = platform(&bench, br#"{"architecture":"arm64","os":"linux","variant":"v8","rootfs":{}}"#).await;
    assert_eq!(found, linux("arm64"));
    let config = |architecture: &str| format!(r#"{{"os":"linux","architecture":{}}}"#, serde_json::json!(architecture));
    let longest = "x".repeat(limits::PLATFORM_CHARS_MAX);
    assert_eq!(platform(&bench, config(&longest).as_bytes()).await, linux(&longest));
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"architecture":"amd64","os":"linux","x":{nested}}}"#);
    assert_eq!(platform(&bench, deep.as_bytes()).await, linux("amd64"), "what is not read may be as deep as it likes");
    for config in [
        config(&format!("{longest}x")),
        config(""),
        config("amd\n64"),
        r#"{"architecture":"amd64"}"#.to_owned(),
        r#"{"architecture":7,"os":"linux"}"#.to_owned(),
        r#"["amd64"]"#.to_owned(),
        "no JSON".to_owned(),
        String::new(),
    ] {
        assert_eq!(platform(&bench, config.as_bytes()).await, None, "{}", config.chars().take(100).collect::<String>());
    }
    // Of artifacts, any JSON is only theirs.
    let text = String::from_utf8(image(&[br#"{"architecture":"amd64","os":"linux"}"#]).to_vec()).unwrap();
    let artifact = text.replace(media_type::OCI_CONFIG, "application/vnd.example.config+json");
    bench.push_blob("app", br#"{"architecture":"amd64","os":"linux"}"#).await;
    let digest = bench.put("app", "artifact", artifact.into()).await.unwrap().digest;
    assert_eq!(bench.core.describe_manifest(&bench.target("app"), &digest).await.unwrap().platform, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_config_nothing_is_known() {
    let bench = bench().await;
    let config = |size: u64| {
        let head = r#"{"architecture":"amd64","os":"linux"}"#.to_owned();
        let padding = " ".repeat(usize::try_from(size).unwrap() - head.len());
        head + &padding
    };
    assert!(platform(&bench, config(limits::CONFIG_BYTES_MAX).as_bytes()).await.is_some());
    assert!(platform(&bench, config(limits::CONFIG_BYTES_MAX + 1).as_bytes()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_is_not_there_or_cannot_be_read_does_not_hold_up_its_image() {
    let bench = bench_with(Settings { sparse_images: true, ..settings() }).await;
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    let digest = bench.put("app", "v1", image(&[config])).await.unwrap().digest;
    let platform = async || bench.core.describe_manifest(&bench.target("app"), &digest).await.unwrap().platform;
    assert_eq!(platform().await, None);
    let blob = bench.push_blob("app", config).await;
    let file = bench.file_of(&blob);
    std::fs::rename(&file, file.with_extension("away")).unwrap();
    bench.put("app", "v1", image(&[config])).await.unwrap();
    assert_eq!(platform().await, None);
    std::fs::rename(file.with_extension("away"), &file).unwrap();
    bench.put("app", "v1", image(&[config])).await.unwrap();
    assert!(platform().await.is_some(), "the next push of it fills it in");
}
