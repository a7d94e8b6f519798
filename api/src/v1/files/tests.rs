use axum::{
    body::Body,
    http::{Method, header},
};

use crate::testing::{Answer, Api, READER, WRITER, request};

async fn read(api: &Api, method: Method, url: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
    let mut asked = request(method, url, "");
    for (name, value) in headers {
        asked = asked.header(name, *value);
    }
    api.send(asked.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_link_reads_a_file_whole_and_in_parts() {
    let api = Api::new().await;
    let id = api.sealed("demo").await.id;
    let files = api.get(&format!("/api/recordings/{id}/files"), READER).await.json();
    let file = &files["items"][0];
    assert_eq!(file["part"], "segment");
    let (url, bytes) = (file["url"].as_str().unwrap(), file["bytes"].as_u64().unwrap());

    let whole = read(&api, Method::GET, url, &[]).await;
    assert_eq!(
        (whole.status.as_u16(), whole.body.len() as u64),
        (200, bytes),
        "{}",
        whole.text()
    );
    assert_eq!(&whole.body[1..5], b"MCAP");
    let etag = whole.header(header::ETAG).to_owned();
    assert_eq!(etag, format!("\"{}\"", file["sha256"].as_str().unwrap()));
    assert_eq!(whole.header(header::CONTENT_TYPE), "application/x-mcap");
    assert!(
        whole
            .header(header::CONTENT_DISPOSITION)
            .starts_with("inline; filename=\"journal-00000.mcap\"")
    );

    let part = read(&api, Method::GET, url, &[(header::RANGE, "bytes=1-4")]).await;
    assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &b"MCAP"[..]));
    assert_eq!(part.header(header::CONTENT_RANGE), format!("bytes 1-4/{bytes}"));
    let none = read(&api, Method::GET, url, &[(header::RANGE, &format!("bytes={bytes}-"))]).await;
    assert_eq!(none.problem().0, 416);
    assert_eq!(none.header(header::CONTENT_RANGE), format!("bytes */{bytes}"));
    let head = read(&api, Method::HEAD, url, &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header(header::CONTENT_LENGTH), bytes.to_string());
    let known = read(&api, Method::GET, url, &[(header::IF_NONE_MATCH, &etag)]).await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    let saved = read(&api, Method::GET, &format!("{url}&download=1"), &[]).await;
    assert!(saved.header(header::CONTENT_DISPOSITION).starts_with("attachment"));
    // Bytes are as they are, whatever else may be compressed.
    let plain = read(&api, Method::GET, url, &[(header::ACCEPT_ENCODING, "br, gzip")]).await;
    assert_eq!(plain.header(header::CONTENT_ENCODING), "");
}

#[tokio::test]
async fn a_link_is_for_its_recording_only() {
    let api = Api::new().await;
    let (one, other) = (api.sealed("one").await.id, api.sealed("other").await.id);
    let files = api.get(&format!("/api/recordings/{one}/files"), READER).await.json();
    let url = files["items"][0]["url"].as_str().unwrap();
    let elsewhere = url.replace(&one.to_string(), &other.to_string());
    assert_eq!(
        read(&api, Method::GET, &elsewhere, &[]).await.problem(),
        (401, "link_expired".to_owned())
    );
    let key = url.rsplit_once("?key=").unwrap().1;
    let whole = format!("/api/recordings/{one}?key={key}");
    assert_eq!(
        read(&api, Method::GET, &whole, &[]).await.problem(),
        (401, "unauthenticated".to_owned())
    );
    let path = format!("/api/recordings/{one}/segments/0/file");
    assert_eq!(read(&api, Method::GET, &path, &[]).await.problem().0, 401);
    assert_eq!(api.get(&path, WRITER).await.problem().0, 403);
    assert_eq!(api.get(&path, READER).await.status, 200);
}

#[tokio::test]
async fn what_is_no_file_is_not_found() {
    let api = Api::new().await;
    let id = api.sealed("demo").await.id;
    for path in [
        "segments/1/file",
        "segments/-1/file",
        "segments/x/file",
        "segments/4294967296/file",
        "renders/rnd_00000000000000000000000000/files/ana.webm",
        "renders/rnd_00000000000000000000000000/files/..%2f..%2fjournal-00000.mcap",
        "renders/rnd_00000000000000000000000000/files/..%2f..%2f..%2f..%2fapi.key",
        "renders/x/files/ana.webm",
    ] {
        let answer = api.get(&format!("/api/recordings/{id}/{path}"), READER).await;
        assert_eq!(answer.problem().0, 404, "{path}");
    }
}
