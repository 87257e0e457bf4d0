"""The alarm: notices that reviewed tickets come out worse than their frozen scores said, and closes the gate.

Three running bets against "nothing has changed", each restarted whenever it has lost its stake (Page's CUSUM on a
likelihood ratio): after a bet's value passes `1 / false alarm rate`, the run of tickets that did it would be that rare
without a change. A bet on every reviewed ticket sees a broken learner from the tickets below the gate, long before
the few audited ones above it could.
"""

from dataclasses import dataclass

# A change is supposed to leave this share of the chance a score promised.
_LEFT_OF_SCORE = 0.35
# Scores are trusted to within this much: an honest one may be a little too high without a change.
_SLACK = 0.05
_SURPRISE_LIMIT = 40.0
_SCORES_LIMIT = 3_000.0
_AUDIT_LIMIT = 500.0
_NEW_LIMIT = 1_000.0
_FADE = 0.9


@dataclass(slots=True)
class Watch:
    """Running values of the bets, 1 at rest, and what was seen since the bet on scores was last at rest."""

    scores: float = 1.0
    audits: float = 1.0
    novelty: float = 1.0
    seen: int = 0
    wrong: int = 0
    expected_wrong: float = 0.0

    def see(self, score: float, correct: bool, *, passed: bool, alpha: float) -> None:
        """Take in one reviewed ticket; `passed` where its score passed the gate, so that it came through the audit."""
        chance = min(0.99, max(0.02, score - _SLACK))
        after = _LEFT_OF_SCORE * chance
        self.scores *= after / chance if correct else (1 - after) / (1 - chance)
        if self.scores <= 1:
            self.scores, self.seen, self.wrong, self.expected_wrong = 1.0, 0, 0, 0.0
        else:
            self.seen, self.wrong = self.seen + 1, self.wrong + (not correct)
            self.expected_wrong += 1 - score
        if passed:
            worse = min(0.6, 4 * alpha)
            self.audits = max(1.0, self.audits * ((1 - worse) / (1 - alpha) if correct else worse / alpha))
        self.novelty = max(1.0, self.novelty * _FADE)

    def see_new_category(self, reviews: int) -> None:
        """Take in a label that was never learnt: after many reviews one is rare, a few in a row are another desk."""
        self.novelty *= min(_SURPRISE_LIMIT, max(1.0, reviews / 4))

    def alarm(self) -> str:
        """Return why the stream has shifted, in plain words; empty while there is no sign of it."""
        if self.scores >= _SCORES_LIMIT:
            return f"{self.wrong} of {self.seen} reviews were wrong where {self.expected_wrong:.0f} were expected"
        if self.audits >= _AUDIT_LIMIT:
            return "the blind audit finds more errors than the certificate allows"
        return "people file tickets under categories the learner never saw" if self.novelty >= _NEW_LIMIT else ""
