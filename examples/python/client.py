"""Asks for recommendations, streams three likes, asks again, prints what changed.

Run it against `cargo run --release -- serve --demo`, from this directory:

    python3 -m venv .venv
    .venv/bin/pip install -r requirements.txt
    .venv/bin/python -m grpc_tools.protoc -I ../../proto --python_out=. --grpc_python_out=. \
        personalization/v1/vocabulary.proto personalization/v1/user.proto \
        personalization/v1/personalization.proto
    .venv/bin/python client.py

The third command makes the folder personalization/ with the messages and stubs.
"""

import argparse
import uuid

import grpc

from personalization.v1 import vocabulary_pb2 as vocabulary
from personalization.v1 import personalization_pb2 as messages
from personalization.v1.personalization_pb2_grpc import PersonalizationServiceStub

DEADLINE_SECONDS = 5
# Toy Story, A Bug's Life, Monsters, Inc.
FILMS = ["1", "2355", "4886"]


def personalize(service, user, min_watermark=0):
    """The answer for a user, from a model that knows the log up to `min_watermark`."""
    request = messages.PersonalizeRequest(
        user_id=user,
        explain=True,
        min_watermark=min_watermark,
        max_results=8,
        # Draws nothing at random, so that the two answers differ by what was learnt. Leave it out in
        # production: without exploring, the service learns only about what it shows already.
        strategy=vocabulary.STRATEGY_GREEDY,
    )
    return service.Personalize(request, timeout=DEADLINE_SECONDS)


def impressions(user, answer):
    """What the user was shown: this is how the ranker learns what is not clicked."""
    return [
        vocabulary.Interaction(
            event_id=str(uuid.uuid4()),
            user_id=user,
            item_id=item.item_id,
            type=vocabulary.INTERACTION_TYPE_IMPRESSION,
            decision_id=answer.decision_id,
            position=item.position,
        )
        for item in answer.recommendations
    ]


def like(user, film):
    return vocabulary.Interaction(
        event_id=str(uuid.uuid4()),
        user_id=user,
        item_id=film,
        type=vocabulary.INTERACTION_TYPE_LIKE,
    )


def stream(service, batches):
    """Streams batches of interactions, returns the log sequence that covers them all.

    A real producer keeps every batch until its number is acknowledged. When the
    stream breaks, it opens a new one and sends what was not acknowledged again, with
    the same event ids: what was recorded already is counted as a duplicate.
    """
    requests = (
        messages.StreamInteractionsRequest(client_sequence=number, interactions=batch)
        for number, batch in enumerate(batches, start=1)
    )
    last_sequence = 0
    for ack in service.StreamInteractions(requests, timeout=DEADLINE_SECONDS):
        print(
            f"acknowledged up to batch {ack.client_sequence}: {ack.accepted} accepted, "
            f"{ack.duplicates} duplicates, {ack.rejected} rejected"
        )
        for rejection in ack.rejections:
            reasons = "; ".join(f"{v.field} {v.reason}" for v in rejection.violations)
            print(f"  interaction {rejection.index}: {reasons}")
        last_sequence = ack.last_sequence
    return last_sequence


def show(title, answer, before=()):
    print(f"\n{title}")
    for item in answer.recommendations:
        mark = "  " if not before or item.item_id in before else "* "
        print(f"  {mark}{item.position + 1}. {item.title}: {', '.join(item.reasons)}")


def main():
    arguments = argparse.ArgumentParser(description="Tries the personalization service.")
    arguments.add_argument("--addr", default="127.0.0.1:50051", help="default: %(default)s")
    arguments.add_argument("--user", default=f"visitor-{uuid.uuid4().hex[:8]}", help="default: a new user")
    options = arguments.parse_args()

    with grpc.insecure_channel(options.addr) as channel:
        service = PersonalizationServiceStub(channel)
        first = personalize(service, options.user)
        show(f"Before, for {options.user}:", first)

        print()
        shown = impressions(options.user, first)
        liked = [like(options.user, film) for film in FILMS]
        last_sequence = stream(service, [shown, liked])

        second = personalize(service, options.user, min_watermark=last_sequence)
        show("After three likes (* is new):", second, {item.item_id for item in first.recommendations})


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as error:
        raise SystemExit(f"{error.code().name}: {error.details()}") from error
