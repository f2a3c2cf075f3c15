"""A simulated audience for the experiment more-variety: docs/experiments.md goes through it.

Each simulated user asks for a list, once, and clicks with a chance that depends on the variant that
the answer names. So you know what is true, and can see whether the experiment finds it.

    python3 -m venv .venv
    .venv/bin/pip install -r ../python/requirements.txt
    .venv/bin/python -m grpc_tools.protoc -I ../../proto --python_out=. --grpc_python_out=. \
        personalization/v1/vocabulary.proto personalization/v1/user.proto \
        personalization/v1/personalization.proto
    .venv/bin/python audience.py
"""

import argparse
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


def event(user, answer, item, kind):
    return vocabulary.Interaction(
        event_id=str(uuid.uuid4()),
        user_id=user,
        item_id=item.item_id,
        type=kind,
        decision_id=answer.decision_id,
        position=item.position,
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--address", default="127.0.0.1:50051")
    arguments.add_argument("--experiment", default="more-variety")
    arguments.add_argument("--users", type=int, default=6000)
    arguments.add_argument("--control", type=float, default=0.30, help="chance of a click")
    arguments.add_argument("--treatment", type=float, default=0.38, help="the same with any other variant")
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    chance = random.Random(arguments.seed)
    counts = {}
    with grpc.insecure_channel(arguments.address) as channel:
        service = PersonalizationServiceStub(channel)
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
                batch = messages.BatchRecordInteractionsRequest(interactions=events)
                service.BatchRecordInteractions(batch, timeout=DEADLINE_SECONDS)
                events = []
    for variant, (users, clicked) in sorted(counts.items()):
        print(f"{variant:12} {users:6} users, {clicked:6} clicked: {clicked / users:.3f}")


if __name__ == "__main__":
    main()
