//! Files of every accepted format, and of some that are not.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

fn file(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    (directory, path)
}

fn interactions(name: &str, content: &str) -> Result<Vec<InteractionRow>, Error> {
    let (_directory, path) = file(name, content);
    Rows::interactions(&path)?.collect()
}

fn row(user: &str, item: &str, rating: Option<f32>, millis: i64) -> InteractionRow {
    let at = Timestamp::from_millis(millis);
    InteractionRow { user_id: user.to_owned(), item_id: item.to_owned(), rating, at }
}

/// The message of the error, without the directory.
fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let text = result.unwrap_err().to_string();
    text.rsplit('/').next().unwrap().to_owned()
}

#[test]
fn movielens_names_and_our_own_are_recognised_whatever_the_case() {
    let golden = [row("1", "31", Some(2.5), 1_260_759_144_000)];
    let lens = "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n";
    let own = "\u{feff}TIMESTAMP,Item_Id,User_ID,Rating\n 1260759144, 31, 1 ,2.5\n";
    assert_eq!(interactions("ratings.csv", lens).unwrap(), golden);
    assert_eq!(interactions("rows.csv", own).unwrap(), golden);
}

#[test]
fn the_formats_without_header_are_recognised_by_file_name() {
    let golden = [row("196", "242", Some(3.0), 881_250_949_000)];
    assert_eq!(interactions("u.data", "196\t242\t3\t881250949\n").unwrap(), golden);
    assert_eq!(interactions("ratings.dat", "196::242::3::881250949\r\n").unwrap(), golden);
    let tabs = "user_id\titem_id\trating\ttimestamp\n196\t242\t3\t881250949\n";
    assert_eq!(interactions("rows.tsv", tabs).unwrap(), golden);
}

#[test]
fn packed_files_are_found_and_recognised_as_if_they_were_not() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"196\t242\t3\t881250949\n").unwrap();
    let packed = encoder.finish().unwrap();
    let golden = [row("196", "242", Some(3.0), 881_250_949_000)];
    for name in ["u.data.gz", "u.data"] {
        let (directory, path) = file(name, &packed);
        let found = Files::find(directory.path(), None, None).unwrap();
        assert_eq!(found.interactions, path);
        let rows: Result<Vec<_>, _> = Rows::interactions(&path).unwrap().collect();
        assert_eq!(rows.unwrap(), golden, "{name}");
    }
    let (_directory, path) = file("u.data.gz", &packed[..packed.len() - 9]);
    let cut = Rows::interactions(&path).map(Iterator::collect::<Result<Vec<_>, _>>);
    assert!(!matches!(cut, Ok(Ok(_))), "{cut:?}");
}

#[test]
fn spellings_and_separators_of_well_known_data_sets_are_recognised() {
    let golden = [row("u", "i", Some(7.0), 5_000)];
    for (name, content) in [
        ("BX.csv", "\"User-ID\";\"ISBN\";\"Book-Rating\";\"Date\"\n\"u\";\"i\";\"7\";\"5\"\n"),
        ("user_artists.dat", "userID\tartistID\tweight\tts\nu\ti\t7\t5\n"),
        ("x.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\ti\t7\t5\n"),
        ("visits.csv", "VisitorId,venue_id,Visits,time\nu,i,7,1970-01-01T00:00:05Z\n"),
        ("plain.txt", "user|item|count|timestamp\nu|i|7|5\n"),
    ] {
        assert_eq!(interactions(name, content).unwrap(), golden, "{name}");
    }
}

#[test]
fn the_likeliest_of_several_names_is_taken_wherever_it_stands() {
    let content = "item,item_id,user,user_id,date,timestamp\nx,i,x,u,2020-01-01,5\n";
    assert_eq!(interactions("a.csv", content).unwrap(), [row("u", "i", None, 5_000)]);
}

#[test]
fn without_timestamps_the_order_of_the_file_is_that_of_time_where_that_is_allowed() {
    let (_directory, path) = file("a.csv", "user_id,book_id,rating\nu,i,5\nv,j,3\n");
    let text = message(Rows::interactions(&path));
    assert!(text.contains("has no column timestamp"), "{text}");
    let rows = Rows::interactions_in_any_order(&path).unwrap();
    assert!(!rows.has_timestamps());
    let at: Vec<i64> = rows.map(|row| row.unwrap().at.as_millis()).collect();
    assert!(at[0] < at[1]);
}

#[test]
fn a_named_file_that_is_not_utf_8_is_latin_1() {
    let (_directory, path) = file("books.csv", b"ISBN;Book-Title\n7;Am\xe9lie\n");
    let item = Rows::items(&path).unwrap().next().unwrap().unwrap();
    assert_eq!((item.id.as_str(), item.title.as_str()), ("7", "Amélie"));
}

#[test]
fn ratings_may_be_missing_as_a_column_or_in_a_row() {
    let (_directory, path) = file("a.csv", "user_id,item_id,timestamp\nu,i,1\n");
    let mut rows = Rows::interactions(&path).unwrap();
    assert_eq!(rows.next().unwrap().unwrap(), row("u", "i", None, 1_000));
    let content = "user_id,item_id,rating,timestamp\nu,i,,1\n";
    assert_eq!(interactions("b.csv", content).unwrap(), [row("u", "i", None, 1_000)]);
}

#[test]
fn errors_name_file_line_and_column() {
    let head = "userId,movieId,rating,timestamp\n1,2,3,4\n";
    let fails = |line: &str| message(interactions("a.csv", &format!("{head}{line}\n")));
    assert_eq!(fails("1,2,good,4"), r#"a.csv:3: column rating: must be a number, is "good""#);
    assert_eq!(
        fails("1,2,NaN,4"),
        "a.csv:3: column rating: must be finite and not negative, is NaN"
    );
    assert_eq!(fails(",2,3,4"), "a.csv:3: column userId: must not be empty");
    assert!(fails("1,2,3,noon").starts_with("a.csv:3: column timestamp: must be seconds"));
    assert_eq!(
        message(interactions("a.dat", "1::2::3")),
        concat!(
            "a.dat:1: column timestamp: must be seconds or milliseconds since 1970 or a date, is ",
            r#""""#
        )
    );
}

#[test]
fn a_missing_column_is_named_with_those_present() {
    let text = message(interactions("a.csv", "user,item\nu,i\n"));
    assert_eq!(text, "a.csv has no column timestamp; its columns are: user, item");
}

#[test]
fn a_row_with_too_few_fields_is_refused() {
    let error = interactions("a.csv", "user_id,item_id,timestamp\nu,i\n").unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("line: 2"), "{source}");
}

#[test]
fn items_have_titles_with_commas_and_genres_unless_none_are_listed() {
    let content = concat!(
        "movieId,title,genres\n",
        "11,\"American President, The (1995)\",Comedy|Drama\n",
        "12,Nothing (2000),(no genres listed)\n",
    );
    let (_directory, path) = file("movies.csv", content);
    let items: Vec<DatasetItem> = Rows::items(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(items[0].title, "American President, The (1995)");
    assert_eq!(items[0].topics, ["Comedy", "Drama"]);
    assert!(items[1].topics.is_empty() && items[1].source.is_none());
}

#[test]
fn items_of_ml_1m_and_ml_100k_are_read_with_latin_1_titles() {
    let (_directory, path) = file("movies.dat", b"7::Am\xe9lie: A (2001)::Comedy|Romance\n");
    let item = Rows::items(&path).unwrap().next().unwrap().unwrap();
    assert_eq!((item.title.as_str(), item.topics.len()), ("Amélie: A (2001)", 2));
    let flags = "0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0";
    let (_directory, path) =
        file("u.item", format!("1|Toy Story (1995)|01-Jan-1995||url|{flags}\n"));
    let item = Rows::items(&path).unwrap().next().unwrap().unwrap();
    assert_eq!(item.topics, ["Animation", "Children", "Comedy"]);
}

#[test]
fn attributes_of_users_are_numbers_flags_lists_or_texts() {
    let (_directory, path) =
        file("users.csv", "user_id,age,pro,likes,city,gap\nu,24,true,a|b,Bern,\n");
    let user = Rows::users(&path).unwrap().next().unwrap().unwrap();
    assert_eq!(user.attributes.get("age"), Some(&AttributeValue::Number(24.0)));
    assert_eq!(user.attributes.get("pro"), Some(&AttributeValue::Flag(true)));
    let likes = AttributeValue::List(vec!["a".into(), "b".into()]);
    assert_eq!(user.attributes.get("likes"), Some(&likes));
    assert_eq!(user.attributes.get("city"), Some(&AttributeValue::Text("Bern".into())));
    assert_eq!(user.attributes.get("gap"), None);
}

#[test]
fn a_directory_stands_for_the_files_of_its_layout() {
    let (directory, path) = file("ratings.dat", "");
    fs::write(directory.path().join("movies.dat"), "").unwrap();
    let files = Files::find(directory.path(), None, Some(Path::new("mine.csv"))).unwrap();
    assert_eq!(files.interactions, path);
    assert_eq!(files.items, Some(directory.path().join("movies.dat")));
    assert_eq!(files.users, Some("mine.csv".into()));
}

#[test]
fn a_directory_without_interactions_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = Files::find(directory.path(), None, None).unwrap_err();
    assert!(error.to_string().contains("ratings.csv, interactions.csv"));
}

#[test]
fn columns_that_are_not_read_are_known_by_name() {
    let (_directory, path) =
        file("items.csv", "sku,Title,price,tags,in_stock\n1,Mug,9,kitchen,1\n");
    assert_eq!(Rows::items(&path).unwrap().unused(), ["price", "in_stock"]);
    let (_directory, path) = file("rows.csv", "user_id,item_id,type,timestamp\n1,2,like,3\n");
    assert_eq!(Rows::interactions(&path).unwrap().unused(), ["type"]);
    let (_directory, path) = file("users.csv", "user_id,age,country\n1,2,DE\n");
    assert!(Rows::users(&path).unwrap().unused().is_empty());
}
