//! Load tests, on each kind of database.

use serde_json::json;

use super::*;
use crate::testing::{Data, on_each_database};

#[tokio::test]
async fn a_load_test_goes_forward_only() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let tests = store.load_tests();
        let id = tests.create(&json!({"rooms": 2}), "usr_a").await.unwrap().id;
        let running = tests.start(id).await.unwrap();
        assert!(running.state == LoadTestState::Running && running.started.is_some());
        assert_eq!(tests.start(id).await.unwrap_err().kind(), ErrorKind::Conflict);
        let end = LoadTestEnd {
            report: Some("loadtests/x/report.html".into()),
            summary: Some(json!({"passed": true})),
            failure: None,
        };
        let done = tests.finish(id, LoadTestState::Finished, end.clone()).await.unwrap();
        assert_eq!((done.state, &done.end), (LoadTestState::Finished, &end));
        let late = tests
            .finish(id, LoadTestState::Stopped, LoadTestEnd::default())
            .await
            .unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Conflict);
        assert_eq!(tests.get(id).await.unwrap(), done);

        data.after(1);
        let interrupted = tests.create(&json!({}), "usr_a").await.unwrap().id;
        tests.start(interrupted).await.unwrap();
        assert_eq!(tests.settle().await.unwrap(), 1);
        assert_eq!(tests.get(interrupted).await.unwrap().state, LoadTestState::Stopped);
        let (page, more) = tests.list(None, 1).await.unwrap();
        assert!(more && page[0].id == interrupted);
        assert_eq!(tests.list(Some(interrupted), 5).await.unwrap().0, [done]);
    })
    .await;
}
