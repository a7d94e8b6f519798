//! Uploads: to a folder, to memory, and to a real S3 server where one can be started.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    path::Path as FilePath,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use object_store::memory::InMemory;
use sea_orm::{ActiveModelTrait as _, PaginatorTrait as _};

use super::*;
use crate::{
    Store,
    files::FileStream,
    testing::{Data, advance, capture, render, sealed, write_segments},
};
use greffier_media::lifecycle::RecordingStep;

async fn read_all(stream: FileStream) -> Vec<u8> {
    let parts: Vec<Bytes> = stream.try_collect().await.unwrap();
    parts.concat()
}

/// A recording with three segments and one render.
async fn recording(store: &Store) -> RecordingId {
    let id = sealed(store, "demo", 3).await.id;
    render(store, id).await;
    id
}

async fn upload_all(store: &Store) -> Vec<StoredFile> {
    let pending = store.objects().pending(100).await.unwrap();
    for file in &pending {
        store.objects().upload(file).await.unwrap();
    }
    pending
}

/// What every object store must be good for, whatever it is.
async fn goes_there_and_comes_back(data: &Data) {
    let store = data.open().await;
    let id = recording(&store).await;
    let files = upload_all(&store).await;
    assert_eq!(files.len(), 4);
    assert_eq!(store.objects().pending(100).await.unwrap(), []);
    let contents: Vec<_> = files
        .iter()
        .map(|file| fs::read(file.path(store.data())).unwrap())
        .collect();
    assert!(store.recordings().storage_used().await.unwrap().uploaded > 90_000);

    // Nothing goes before it is time; then the local copies go, and all can still be read.
    assert_eq!(store.objects().remove_local_copies().await.unwrap(), []);
    data.clock.advance(Duration::from_hours(1));
    assert_eq!(store.objects().remove_local_copies().await.unwrap().len(), 4);
    assert_eq!(store.recordings().storage_used().await.unwrap().journals_on_disk, 0);
    for (file, content) in store.files().list(id).await.unwrap().iter().zip(&contents) {
        assert!(!file.on_disk && file.uploaded.is_some());
        assert!(!file.path(store.data()).try_exists().unwrap());
        let whole = store.files().open(file, 0..file.bytes).await.unwrap();
        assert_eq!(&read_all(whole).await, content);
        let part = store.files().open(file, 2..7).await.unwrap();
        assert_eq!(read_all(part).await, &content[2..7]);
    }
    let check = crate::check::CheckOptions {
        repair: false,
        contents: true,
    };
    assert_eq!(store.check(check).await.unwrap().findings, []);

    store.recordings().delete(id).await.unwrap();
    assert_eq!(list_recording(&store.inner, id).await.unwrap(), BTreeMap::new());
}

fn in_folder() -> Data {
    let mut data = Data::new();
    let folder = data.outside().join("obj ects");
    let mut objects = ObjectsConfig::new(url::Url::from_directory_path(folder).unwrap());
    objects.local_copy = Some(Duration::from_hours(1));
    data.config.objects = Some(objects);
    data
}

/// A store in memory that outlives the process that uses it, with parts of a thousand bytes.
async fn open_in_memory(data: &Data, memory: &Arc<InMemory>) -> Store {
    let mut store = data.open().await;
    let mut config = ObjectsConfig::new("memory:///".parse().unwrap());
    config.part_bytes = 1_000;
    let remote = Remote::new(Backend::in_memory(Arc::clone(memory)), config);
    Arc::get_mut(&mut store.inner).unwrap().remote = Some(remote);
    store
}

#[tokio::test]
async fn a_folder_is_an_object_store() {
    goes_there_and_comes_back(&in_folder()).await;
}

#[tokio::test]
async fn what_a_crash_left_in_a_folder_is_swept() {
    let data = in_folder();
    let store = data.open().await;
    let id = sealed(&store, "demo", 1).await.id;
    let folder = data.outside().join("obj ects").join("recordings").join(id.to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("journal-00000.mcap#1"), "half").unwrap();
    upload_all(&store).await;
    let names: Vec<_> = disk::list_dir(&folder)
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["journal-00000.mcap"]);
}

#[tokio::test]
async fn segments_go_while_the_meeting_goes_on() {
    let data = in_folder();
    let store = data.open().await;
    let id = capture(&store, "demo").await.id;
    let facts = write_segments(&store, id, 2);
    store.recordings().record_segment(id, &facts[0]).await.unwrap();
    assert_eq!(upload_all(&store).await.len(), 1);
    // As long as the recording goes on, its segments stay.
    data.clock.advance(Duration::from_hours(2));
    assert_eq!(store.objects().remove_local_copies().await.unwrap(), []);
    store.recordings().record_segment(id, &facts[1]).await.unwrap();
    advance(&store, id, RecordingStep::Stop).await;
    advance(&store, id, RecordingStep::Seal).await;
    assert_eq!(upload_all(&store).await.len(), 1);
    data.clock.advance(Duration::from_hours(1));
    assert_eq!(store.objects().remove_local_copies().await.unwrap().len(), 2);
}

#[tokio::test]
async fn parts_that_are_there_are_not_sent_again() {
    let data = Data::new();
    let memory = Arc::new(InMemory::new());
    let store = open_in_memory(&data, &memory).await;
    let id = sealed(&store, "demo", 1).await.id;
    let file = store.objects().pending(1).await.unwrap().remove(0);
    let local = file.path(store.data());
    let content = fs::read(&local).unwrap();
    // The disk fails after ten parts …
    fs::write(&local, &content[..10_500]).unwrap();
    let error = store.objects().upload(&file).await.unwrap_err();
    assert!(matches!(error, ObjectError::LocalChanged(_)), "{error:?}");
    assert_eq!(
        entity::Entity::find().count(store.inner.database.read()).await.unwrap(),
        1
    );
    // … the process ends, and when all is well again, the parts that were sent are not even looked at.
    drop(store);
    fs::write(&local, &content).unwrap();
    let tampered = fs::OpenOptions::new().write(true).open(&local).unwrap();
    tampered.write_all_at(&[0; 10_000], 0).unwrap();
    let store = open_in_memory(&data, &memory).await;
    store.objects().upload(&file).await.unwrap();
    assert_eq!(
        entity::Entity::find().count(store.inner.database.read()).await.unwrap(),
        0
    );
    fs::remove_file(&local).unwrap();
    let file = store.files().list(id).await.unwrap().remove(0);
    let stream = store.files().open(&file, 0..file.bytes).await.unwrap();
    assert_eq!(
        read_all(stream).await,
        content,
        "and where the local file is lost, the object is read"
    );
}

#[tokio::test]
async fn an_upload_that_was_begun_long_ago_is_begun_anew() {
    let data = Data::new();
    let memory = Arc::new(InMemory::new());
    let store = open_in_memory(&data, &memory).await;
    sealed(&store, "demo", 1).await;
    let file = store.objects().pending(1).await.unwrap().remove(0);
    let local = file.path(store.data());
    let content = fs::read(&local).unwrap();
    cut(&local, 5_500);
    store.objects().upload(&file).await.unwrap_err();
    let begun = async || {
        entity::Entity::find()
            .one(store.inner.database.read())
            .await
            .unwrap()
            .unwrap()
            .upload_id
    };
    let first = begun().await;
    data.clock.advance(Duration::from_hours(25));
    store.objects().upload(&file).await.unwrap_err();
    assert_ne!(begun().await, first);
    fs::write(&local, &content).unwrap();
    store.objects().upload(&file).await.unwrap();
}

#[tokio::test]
async fn what_arrived_otherwise_does_not_count() {
    let data = Data::new();
    let memory = Arc::new(InMemory::new());
    let store = open_in_memory(&data, &memory).await;
    let id = sealed(&store, "demo", 1).await.id;
    let file = store.objects().pending(1).await.unwrap().remove(0);
    let local = file.path(store.data());
    fs::OpenOptions::new()
        .write(true)
        .open(&local)
        .unwrap()
        .write_all_at(b"rot", 5_000)
        .unwrap();
    let error = store.objects().upload(&file).await.unwrap_err();
    assert!(matches!(error, ObjectError::Mismatch(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert_eq!(list_recording(&store.inner, id).await.unwrap(), BTreeMap::new());
    assert_eq!(store.objects().pending(1).await.unwrap().len(), 1);
    assert_eq!(store.objects().remove_local_copies().await.unwrap(), []);
}

#[tokio::test]
async fn unfinished_uploads_go_with_their_recording() {
    let data = Data::new();
    let memory = Arc::new(InMemory::new());
    let store = open_in_memory(&data, &memory).await;
    let id = sealed(&store, "demo", 1).await.id;
    let file = store.objects().pending(1).await.unwrap().remove(0);
    fs::OpenOptions::new()
        .write(true)
        .open(file.path(store.data()))
        .unwrap()
        .set_len(5_000)
        .unwrap();
    store.objects().upload(&file).await.unwrap_err();
    store.recordings().delete(id).await.unwrap();
    assert_eq!(
        entity::Entity::find().count(store.inner.database.read()).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn without_its_object_store_nothing_is_deleted_by_halves() {
    let data = in_folder();
    let store = data.open().await;
    let id = sealed(&store, "demo", 1).await.id;
    upload_all(&store).await;
    drop(store);
    let mut without = data.beside();
    without.config.data_dir = data.config.data_dir.clone();
    without.config.objects = None;
    let store = without.open().await;
    let error = store.recordings().delete(id).await.unwrap_err();
    assert!(
        matches!(error, crate::RecordingError::Object(ObjectError::NotConfigured)),
        "{error:?}"
    );
    assert!(store.data().recording(id).try_exists().unwrap());
    drop(store);
    let store = data.open().await;
    assert_eq!(store.recover().await.unwrap().deleted, [id]);
}

#[tokio::test]
async fn ranges_are_checked() {
    let data = Data::new();
    let store = data.open().await;
    let id = sealed(&store, "demo", 1).await.id;
    let file = store.files().list(id).await.unwrap().remove(0);
    for bad in [Range { start: 1, end: 0 }, 0..file.bytes + 1, u64::MAX..u64::MAX] {
        let error = store.files().open(&file, bad.clone()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bad:?}");
    }
    let nothing = store.files().open(&file, 5..5).await.unwrap();
    assert!(read_all(nothing).await.is_empty());
    let cut = fs::OpenOptions::new()
        .write(true)
        .open(file.path(store.data()))
        .unwrap();
    cut.set_len(10).unwrap();
    let error = store.files().open(&file, 0..5).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let part = FilePart::Segment(greffier_media::ids::SegmentIndex(9));
    assert_eq!(
        store.files().get(id, part).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn configurations_are_checked_at_start() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "hunter2\n").unwrap();
    let secret = secret.path().to_str().unwrap();
    let open = async |url: &str, options: &[(&str, &str)]| {
        let mut data = Data::new();
        let mut objects = ObjectsConfig::new(url.parse().unwrap());
        for (key, value) in options {
            objects.options.insert((*key).to_owned(), (*value).to_owned().into());
        }
        data.config.objects = Some(objects);
        Store::open(&data.config, data.clock.clone()).await.map(|_| ())
    };
    for (url, options) in [
        ("ftp://x/y", &[][..]),
        ("https://example.org/x", &[]),
        ("memory:///", &[]),
        ("s3://bucket/x", &[("aws_regoin", "x")]),
        ("s3://bucket/x", &[("aws_region_file", "/nonexistent")]),
        ("s3://bucket/x", &[("aws_region", "x"), ("aws_region_file", secret)]),
        ("file:///tmp", &[("aws_region", "x")]),
    ] {
        let error = open(url, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url} {options:?}: {error:?}");
    }
    let good = [
        ("aws_region", "eu-west-3"),
        ("aws_access_key_id", "x"),
        ("aws_secret_access_key_file", secret),
    ];
    open("s3://bucket/prefix", &good).await.unwrap();
    let account = [
        ("azure_storage_account_name", "x"),
        ("azure_storage_account_key", "eHh4"),
    ];
    open("az://container/prefix", &account).await.unwrap();
}

/// `moto_server`: S3 as a process of its own.
struct S3 {
    child: Child,
    port: u16,
}

impl S3 {
    async fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new("moto_server");
        server.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let s3 = Self { child, port };
        for _ in 0..600 {
            if s3
                .request("PUT", "/bucket")
                .is_some_and(|answer| answer.contains("200"))
            {
                return Some(s3);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    fn request(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn data(&self) -> Data {
        let mut data = Data::new();
        let mut objects = ObjectsConfig::new("s3://bucket/some/prefix".parse().unwrap());
        for (key, value) in [
            ("aws_endpoint", format!("http://127.0.0.1:{}", self.port)),
            ("aws_allow_http", "true".to_owned()),
            ("aws_region", "us-east-1".to_owned()),
            ("aws_access_key_id", "test".to_owned()),
            ("aws_secret_access_key", "test".to_owned()),
        ] {
            objects.options.insert(key.to_owned(), value.into());
        }
        objects.local_copy = Some(Duration::from_hours(1));
        data.config.objects = Some(objects);
        data
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn s3(test: &str) -> Option<S3> {
    let server = S3::start().await;
    assert!(
        server.is_some() || env::var_os("CI").is_none(),
        "{test} needs moto_server"
    );
    if server.is_none() {
        eprintln!("skipped: {test} (needs moto_server, `pip install 'moto[server]'`)");
    }
    server
}

#[tokio::test]
async fn s3_is_an_object_store() {
    let Some(server) = s3("s3_is_an_object_store").await else {
        return;
    };
    goes_there_and_comes_back(&server.data()).await;
}

/// A recording whose only segment is 12 MiB: three parts.
async fn large(store: &Store) -> StoredFile {
    let id = capture(store, "large").await.id;
    let mut writer = crate::testing::open_journal(store, id);
    let track = writer.add_track(crate::testing::track(1));
    for n in 0..12 * 16_u32 {
        let content = vec![u8::try_from(n % 251).unwrap(); 65_536];
        writer.append_rtp(track, crate::testing::START, None, &content).unwrap();
    }
    let facts = writer.close().seal().unwrap();
    store.recordings().record_segment(id, &facts).await.unwrap();
    store.objects().pending(1).await.unwrap().remove(0)
}

fn cut(path: &FilePath, len: u64) {
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(len)
        .unwrap();
}

#[tokio::test]
async fn s3_goes_on_with_an_upload() {
    let Some(server) = s3("s3_goes_on_with_an_upload").await else {
        return;
    };
    let mut data = server.data();
    data.config.objects.as_mut().unwrap().part_bytes = 5 << 20;
    let store = data.open().await;
    let file = large(&store).await;
    let local = file.path(store.data());
    let content = fs::read(&local).unwrap();
    cut(&local, 6 << 20);
    store.objects().upload(&file).await.unwrap_err();
    fs::write(&local, &content).unwrap();
    let begun = entity::Entity::find()
        .one(store.inner.database.read())
        .await
        .unwrap()
        .unwrap();
    let parts: Vec<String> = serde_json::from_str(&begun.parts).unwrap();
    assert_eq!(parts.len(), 1);
    let store = data.reopen(store).await;
    store.objects().upload(&file).await.unwrap();
    let objects = list_recording(&store.inner, file.recording).await.unwrap();
    assert_eq!(objects, [(file.key(), file.bytes)].into());
    assert_eq!(
        entity::Entity::find().count(store.inner.database.read()).await.unwrap(),
        0
    );

    // The process ended after S3 had the whole and before the row said so: S3 does not know the upload any more.
    store.objects().count_local_copy(&file).await.unwrap();
    let known = entity::Model {
        parts: r#"["a","b","c"]"#.into(),
        ..begun
    };
    entity::Entity::insert(entity::ActiveModel::from(known).reset_all())
        .exec_without_returning(store.inner.database.write())
        .await
        .unwrap();
    store.objects().upload(&file).await.unwrap();
    assert_eq!(store.objects().pending(1).await.unwrap(), []);
    assert_eq!(
        entity::Entity::find().count(store.inner.database.read()).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn an_s3_that_is_gone_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut data = Data::new();
    let mut objects = ObjectsConfig::new("s3://bucket/x".parse().unwrap());
    for (key, value) in [
        ("aws_endpoint", format!("http://127.0.0.1:{port}")),
        ("aws_allow_http", "true".to_owned()),
        ("aws_region", "us-east-1".to_owned()),
        ("aws_access_key_id", "test".to_owned()),
        ("aws_secret_access_key", "test".to_owned()),
    ] {
        objects.options.insert(key.to_owned(), value.into());
    }
    data.config.objects = Some(objects);
    let store = data.open().await;
    sealed(&store, "demo", 1).await;
    let file = store.objects().pending(1).await.unwrap().remove(0);
    let error = store.objects().upload(&file).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(store.objects().pending(1).await.unwrap().len(), 1);
}
