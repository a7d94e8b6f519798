//! Calendars, the whole way through the router.

use axum::http::{Method, header};
use greffier_media::{ids::RoomName, time::Arrival};
use greffier_store::meetings::{CallType, Room, RoomOptions};
use serde_json::json;

use super::calendar;
use crate::{
    testing::Api,
    v1::{
        accounts::tests::{admin, member},
        rooms::tests::room,
    },
};

#[tokio::test]
async fn a_calendar_is_its_owner_s() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(&api, &bea, "demo", &[], json!({})).await;
    let one = "/api/livekit/rooms/demo/calendar.ics";
    assert_eq!(api.get(one, &bea.token).await.problem(), (409, "not_scheduled".into()));
    let planned = json!({"scheduled_for": "2127-01-01T10:00:00Z", "duration_minutes": 30});
    let changed = api
        .call(Method::PATCH, "/api/livekit/rooms/demo", &bea.token, &planned)
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let meeting = api.get(one, &bea.token).await;
    assert_eq!(meeting.header(header::CONTENT_TYPE), "text/calendar; charset=utf-8");
    assert!(
        meeting.text().contains("DTSTART:21270101T100000Z\r\n"),
        "{}",
        meeting.text()
    );
    assert!(
        meeting.text().contains("DTEND:21270101T103000Z\r\n"),
        "{}",
        meeting.text()
    );
    assert_eq!(api.get(one, &cy.token).await.problem().0, 403);

    let link = async |token: &str| {
        let made = api.post("/api/calendar/key", token, &json!({})).await.json();
        made["url"].as_str().unwrap().split_once(":8000").unwrap().1.to_owned()
    };
    let first = link(&bea.token).await;
    assert!(api.get(&first, "").await.text().contains("SUMMARY:The room demo"));
    assert!(!api.get(&link(&cy.token).await, "").await.text().contains("SUMMARY"));
    // A new link ends the old one.
    link(&bea.token).await;
    assert_eq!(api.get(&first, "").await.problem(), (401, "invalid_key".into()));
    assert_eq!(api.post("/api/calendar/key", "", &json!({})).await.problem().0, 401);
}

#[test]
fn a_meeting_is_an_event() {
    let room = Room {
        id: "room_01J8Z6J9W2T4X5Y6Z7A8B9C0D1".parse().unwrap(),
        name: RoomName::new("réunion d’équipe").unwrap(),
        title: "Réunion; très, très\nlongue".into(),
        call_type: CallType::Video,
        owner: None,
        options: RoomOptions::default(),
        locked: false,
        locked_since: None,
        scheduled: Some(Arrival::from_millis(1_760_000_000_000)),
        duration_minutes: Some(90),
        created: Arrival::ZERO,
        ended: None,
        call: None,
        role: None,
    };
    let text = calendar("https://meet.example", Arrival::from_millis(1_750_000_000_000), &[room]);
    let unfolded = text.replace("\r\n ", "");
    for line in [
        "BEGIN:VCALENDAR\r\n",
        "UID:room_01J8Z6J9W2T4X5Y6Z7A8B9C0D1@greffier\r\n",
        "SUMMARY:Réunion\\; très\\, très\\nlongue\r\n",
        "DTSTART:20251009T085320Z\r\n",
        "DTEND:20251009T102320Z\r\n",
        "URL:https://meet.example/r/r%C3%A9union%20d%E2%80%99%C3%A9quipe\r\n",
    ] {
        assert!(unfolded.contains(line), "{line:?} is not in {unfolded}");
    }
}
