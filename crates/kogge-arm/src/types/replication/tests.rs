use serde_json::json;

use crate::fixture::bench;

#[tokio::test]
async fn a_registry_is_in_its_own_region_and_in_no_other() {
    let bench = bench().await;
    let list = format!("{}/replications", bench.registry("default", "default"));
    let home = format!("{list}/local");
    let listed = bench.all(&list).await;
    assert_eq!(listed, [bench.get(&home).ok().await]);
    assert_eq!(
        listed[0],
        json!({
            "id": home, "name": "local", "type": "Microsoft.ContainerRegistry/registries/replications",
            "location": "local", "tags": {},
            "properties": {
                "provisioningState": "Succeeded", "status": { "displayStatus": "Ready" },
                "regionEndpointEnabled": true, "zoneRedundancy": "Disabled",
            },
        })
    );
    let (status, code, _) = bench.put(&format!("{list}/west"), json!({ "location": "west" })).refusal().await;
    assert_eq!((status, code.as_str()), (400, "FeatureNotAvailable"));
    for ask in [bench.put(&home, json!({ "location": "local" })), bench.patch(&home, json!({})), bench.delete(&home)] {
        assert_eq!(ask.refusal().await.1, "ResourceIsBuiltIn");
    }
    assert_eq!(bench.get(&format!("{list}/west")).refusal().await.0, 404);
}
