"""English refusals."""

from __future__ import annotations

from monitor.ingest.refusals.language import Language

_IDIOMS = r"""(?! (?:over(?:state|emphasi[sz]e)|stress|emphasi[sz]e|only|wait|help but
|imagine|believe|agree (?:\S+ )?more|thank |fault |recommend (?:\S+ ){1,6}enough
|(?:find|see|spot|detect|identify|think of) (?:any|a|an|a single|anything) ?(?:\S+ )?
(?:errors?|bugs?|problems?|issues?|mistakes?|flaws?|faults?|reasons?|wrong|better|objections?))\b)"""
_ACTS = r"""(?:be able|help|assist|provide|write|create|generate|give|share|offer|produce
|participate|engage|answer|discuss|comply|continue|support|do (?:that|this|it|so))"""
_UNABLE = rf"""(?:(?:i(?: can(?:'t|not| not)|(?:'m| am) (?:unable|not able) to)\b{_IDIOMS}
|i (?:won't|will not|'m not going to|am not going to) {_ACTS}\b
|i'm not going to {_ACTS}\b
|i(?:'d| would) (?:rather|prefer) not(?: to)? \w
|i (?:must|have to|need to) (?:(?:respectfully|politely) )?(?:decline|refuse)\b
|i (?:don't|do not) (?:feel comfortable|have the (?:cap)?ability)\b
|i (?:don't|do not) think i (?:should|can|could)\b
|i(?:'m| am) not (?:comfortable|willing|allowed|permitted)\b)
|(?:that|this|it)(?:'s| is) (?:not|n't) something (?:that )?i(?:'m| am| can| will|'ll)\b
|(?:that|this|it)(?: is|'s) against my (?:\w+ )?(?:guidelines|rules|polic|principles|programming)
|(?:this|that|your|the) (?:request|question|content|prompt) (?:violates|goes against|is against)\b
|(?:that|this|it) (?:violates|goes against) (?:my|our) (?:\w+ )?(?:guidelines|rules|polic)
|we (?:cannot|can't|are unable to|are not able to) (?:help|assist|process|fulfil+
|complete|provide)\b)"""
_CORRECTION = r"""(?! (?:there (?:was|were|is)|i (?:made|mis\w+|forgot|was|think|believe|meant)
|my (?:previous|earlier|last|first)|the (?:correct|right)|(?:it|this|that|you)
 (?:looks?|seems?|appears?)|i'm not sure|could you|can you|what|which)\b)"""


def _joined(pattern: str) -> str:
    """Return a pattern without its line breaks."""
    return pattern.replace("\n", "")


_GREETING = r"(?:(?:hi|hello|hey)(?: there)?[!,.]? )?"
_SORRY = (
    r"(?:i(?:'m| am) (?:(?:really|very|so|truly|terribly) )?|we(?:'re"
    r"| are) (?:very )?|so )?sorry\b"
    r"|i (?:(?:sincerely|must|do) )?apologi[sz]e\b|(?:my |our )?(?:sincere(?:st)? )?apologies\b"
)

ENGLISH = Language(
    "English",
    (
        *(
            "i can",
            "i am ",
            "i'm ",
            "i won",
            "i will not",
            "i'd ",
            "i would ",
            "i must",
            "i have to",
        ),
        *("i need to", "i do", "i apolog", "i sincerely", "i understand", "i apprec", "i see"),
        *("i hear", "i wish", "we're sorry", "we are sorry", "we are un", "we are not able"),
        *(
            "we can't",
            "we cannot",
            "as an",
            "as a large",
            "as a lang",
            "as a model",
            "as a machine",
        ),
        *("so sorry", "sorry", "my apolog", "my sincere", "our apolog", "apologies", "sincere"),
        *("unfortunately", "regrettably", "that's n", "that's ag", "that's b", "that is n"),
        *("that is ag", "that is b", "that go", "that viol", "that req", "this is n", "this isn"),
        *("this is ag", "this is b", "this req", "this que", "this con", "this pro", "this viol"),
        *("this goes", "your req", "your que", "the request", "it is ag", "it's ag", "it goes ag"),
        *("it's not something", "it is not something", "thank", "no, i", "no. i", "hello", "hi "),
        *("hi,", "hi!", "hey"),
    ),
    unable=_joined(
        rf"(?:{_GREETING}(?:no[,.] )?{_UNABLE}"
        rf"|{_GREETING}(?:{_SORRY}),? but\b(?:{_UNABLE}|{_CORRECTION}))"
    ),
    sorry=rf"{_GREETING}(?:{_SORRY})",
    lead=(
        r"(?:(?:unfortunately|regrettably|i(?:'m| am) afraid|(?:as|i'm"
        r"|i am) (?:just )?an? (?:\w+ ){0,2}(?:ai|model|assistant))\b"
        r"|(?:thank(?:s| you)|i (?:understand|appreciate|see|hear|wish i could)"
        r"|i(?:'d| would) love to)\b"
        r"[^.!?\n]{0,90}\bbut\b)"
    ),
    after=r"(?:i (?:don't|do not) have (?:access|permission)\b|(?:that|this)(?:'s| is) beyond)",
    first="intwy",
)
