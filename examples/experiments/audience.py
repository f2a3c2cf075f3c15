"""A simulated audience for the experiments in this folder: docs/experiments.md goes through them.

Each simulated user asks for a list, once, and clicks with a chance that depends on the variant that
the answer names. So you know what is true, and can see whether the experiment finds it. With --tastes
each user likes a genre, and clicks at films of it more often than at others, whichever variant chose them.

    python3 -m venv .venv
    .venv/bin/pip install -r ../python/requirements.txt
    .venv/bin/python -m grpc_tools.protoc -I ../../proto --python_out=. --grpc_python_out=. \
        personalization/v1/vocabulary.proto personalization/v1/user.proto \
        personalization/v1/personalization.proto
    .venv/bin/python audience.py
"""

import argparse
import csv
import pathlib
import random
import uuid

import grpc

from personalization.v1 import vocabulary_pb2 as vocabulary
from personalization.v1 import personalization_pb2 as messages
from personalization.v1.personalization_pb2_grpc import PersonalizationServiceStub

DEADLINE_SECONDS = 5
# Interactions that are sent together.
BATCH = 50
# The chance that a user hides an item, whatever the variant.
HIDES = 0.1
FILMS = pathlib.Path(__file__).parent.parent / "movielens" / "movies.csv"
GENRES = ["Comedy", "Drama", "Action", "Romance", "Thriller"]
# Films of the genre that a user with a taste has liked before.
LIKED = 3
# The chance of a click at a film of that genre, and at another one.
CLICKS_AT_TASTE, CLICKS_AT_OTHERS = 0.10, 0.02


def event(user, answer, item, kind):
    return vocabulary.Interaction(
        event_id=str(uuid.uuid4()),
        user_id=user,
        item_id=item.item_id,
        type=kind,
        decision_id=answer.decision_id,
        position=item.position,
    )


def record(service, events):
    batch = messages.BatchRecordInteractionsRequest(interactions=events)
    return service.BatchRecordInteractions(batch, timeout=DEADLINE_SECONDS).last_sequence


def have_tastes(service, arguments, chance):
    """Users with a history of a genre, who click at films of it more often than at others."""
    with open(FILMS, encoding="utf-8") as films:
        genres = {film["movieId"]: film["genres"].split("|") for film in csv.DictReader(films)}
    lists = clicks_at_taste = clicks = 0
    for number in range(arguments.users):
        user, taste = f"taster-{arguments.seed}-{number}", chance.choice(GENRES)
        films = chance.sample([film for film, of in genres.items() if taste in of], LIKED)
        kind = vocabulary.INTERACTION_TYPE_LIKE
        likes = [vocabulary.Interaction(user_id=user, item_id=film, type=kind) for film in films]
        known = record(service, likes)
        request = messages.PersonalizeRequest(user_id=user, max_results=10, min_watermark=known)
        answer = service.Personalize(request, timeout=DEADLINE_SECONDS)
        lists += any(it.interleaved for it in answer.assignments)
        events = []
        for item in answer.recommendations:
            is_taste = taste in genres[item.item_id]
            if chance.random() < (CLICKS_AT_TASTE if is_taste else CLICKS_AT_OTHERS):
                events.append(event(user, answer, item, vocabulary.INTERACTION_TYPE_CLICK))
                clicks_at_taste += is_taste
        clicks += len(events)
        if events:
            record(service, events)
    print(f"{arguments.users} users, {lists} interleaved lists")
    print(f"{clicks} clicks, {clicks_at_taste} of them at films of the user's genre")


def follow_variants(service, arguments, chance):
    """Users who click with a chance that depends on the variant."""
    counts = {}
    events = []
    for number in range(arguments.users):
        user = f"simulated-{arguments.seed}-{number}"
        request = messages.PersonalizeRequest(user_id=user, max_results=10)
        answer = service.Personalize(request, timeout=DEADLINE_SECONDS)
        variants = [it.variant for it in answer.assignments if it.experiment == arguments.experiment]
        variant = variants[0] if variants else "not in it"
        probability = arguments.control if variant in ("control", "not in it") else arguments.treatment
        users, clicked = counts.get(variant, (0, 0))
        has_clicked = chance.random() < probability
        if answer.recommendations and chance.random() < HIDES:
            events.append(event(user, answer, answer.recommendations[-1], vocabulary.INTERACTION_TYPE_HIDE))
        counts[variant] = (users + 1, clicked + has_clicked)
        if has_clicked and answer.recommendations:
            item = chance.choice(answer.recommendations)
            events.append(event(user, answer, item, vocabulary.INTERACTION_TYPE_CLICK))
        if len(events) >= BATCH or number + 1 == arguments.users:
            record(service, events)
            events = []
    for variant, (users, clicked) in sorted(counts.items()):
        print(f"{variant:12} {users:6} users, {clicked:6} clicked: {clicked / users:.3f}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--address", default="127.0.0.1:50051")
    arguments.add_argument("--experiment", default="more-variety")
    arguments.add_argument("--users", type=int, default=6000)
    arguments.add_argument("--control", type=float, default=0.30, help="chance of a click")
    arguments.add_argument("--treatment", type=float, default=0.38, help="the same with any other variant")
    arguments.add_argument("--tastes", action="store_true", help="clicks depend on the films, not on the variant")
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    audience = have_tastes if arguments.tastes else follow_variants
    with grpc.insecure_channel(arguments.address) as channel:
        audience(PersonalizationServiceStub(channel), arguments, random.Random(arguments.seed))


if __name__ == "__main__":
    main()
