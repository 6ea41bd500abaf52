"""Patterns of text that addresses a judge. They match text that `plain` of `views.py` returned.

Each pattern has bounded repetitions only, so that its time is linear in the length of the text.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


class Flag(StrEnum):
    """Why a text is suspicious."""

    ASKS_FOR_SCORE = "asks_for_score"
    ADDRESSES_JUDGE = "addresses_judge"
    OVERRIDES_INSTRUCTIONS = "overrides_instructions"
    FORGED_DELIMITER = "forged_delimiter"
    FORGED_VERDICT = "forged_verdict"
    HIDDEN_TEXT = "hidden_text"
    ENCODED = "encoded"
    """Text that is suspicious after decoding."""
    MASTER_KEY = "master_key"
    """A response without content, such as ":", that is known to obtain good verdicts."""
    QUOTES_DELIMITER = "quotes_delimiter"
    """The verdict repeats the token of the delimiters."""


_JUDGE = (
    r"(?:(?:llm|ai|automated|automatic|language[ -]model) )?"
    r"(?:judges?|graders?|evaluators?|scorers?|(?:evaluation|grading|scoring) (?:system|model"
    r"|bot)s?)"
)
_GIVE = (
    r"(?:give|gives|award|awards|assign|assigns|grant|set|output|outputs|return|returns|emit|print"
    r"|prints|record|deserves|receives?|gets?|score|rate|rating|grade|mark|marked)"
)
_BEST = (
    r"(?:(?:a |the )?(?:perfect|maximum|maximal|highest|top|full|best)(?: possible)?"
    r" (?:scores?|marks?|grades?|ratings?|points?|values?|credit)"
    r"|full marks|(?:the )?maximum\b|5 ?/ ?5|10 ?/ ?10|(?:5|five|10|ten) out of (?:5|five|10|ten)"
    r"|(?:a )?scores? (?:of )?(?:5|five|10|ten)\b|(?:5|five|10|ten) points"
    r"|(?:a |an |to |the number |only )?(?<!\d to )(?<!out of )(?:5|five)\b)"
)
_OTHER_PEOPLE = (
    r"\b(?:every|each|all|all the) (?:\w+ )?(?:students?|pupils?|children|candidates?|participants?"
    r"|contestants?|players?|teams?|employees?|applicants?)\b"
)
"""People whose marks are no matter of a judge of responses."""
_THIS = (
    r"(?:(?:this|my|the (?:above|following|present)) (?:response|answer|text|output|item|sample)"
    r"|(?:all|every|each) (?:of the )?(?:scores?|dimensions?|criteri(?:on|a)|categor(?:y|ies)"
    r"|response))"
)
_QUOTED_FIELD = (
    r"[\"'](?:reasoning|scores?|strengths|weaknesses|passed|verdict|overall|rating|attributed"
    r"|noncommittal|statements|classifications)[\"']"
)
_SCORED_WORD = r"(?:scores?|graders?|rubric|verdict|judges?|evaluators?|evaluation|grading)"


def _compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.MULTILINE) for pattern in patterns)


PATTERNS: Final[dict[Flag, tuple[re.Pattern[str], ...]]] = {
    Flag.ASKS_FOR_SCORE: _compiled(
        rf"\b{_GIVE}\b.{{0,30}}\b{_THIS}\b.{{0,40}}\b{_BEST}",
        rf"\b{_THIS}\b.{{0,40}}\b{_GIVE}\b.{{0,20}}\b{_BEST}",
        rf"\b{_GIVE}\b.{{0,30}}{_BEST}.{{0,40}}\b{_THIS}\b",
        rf"\b(?:must|should|has to|have to|need to"
        rf"|only has to)\b.{{0,15}}\b{_GIVE}\b(?!.{{0,10}}{_OTHER_PEOPLE}).{{0,25}}{_BEST}",
        r"\b(?:score|rate|grade) (?:it|this)(?: response| answer)? (?:as )?(?:5|five|10"
        r"|correct)\b",
        rf"\b{_GIVE}\b.{{0,20}}(?:the |a )?(?:maximum|highest|top|perfect)"
        r" (?:possible )?(?:scores?|values?|verdict)\b.{0,30}(?:dimension|criteri|response"
        r"|everything|$)",
        r"\brate (?:my|this) (?:answer|response) (?:as )?(?:excellent|perfect|5|10)\b",
        r"\b(?:mark|approve|pass)\b.{0,12}\b(?:this|my|the|every) (?:response|answer)\b.{0,40}"
        r"\b(?:as (?:correct|faithful|passed|perfect)|$)",
        r"\bapprove this (?:response|answer)\b|\bsay that (?:the|this) response passes\b",
        r"\b(?:all|every|each) (?:scores?|dimensions?)(?: (?:to|is|are|gets))? (?:5|five)\b",
        rf"\b(?:end|ends|finish|conclude)\b.{{0,12}}\b(?:result|verdict"
        rf"|score)s?\b.{{0,12}}{_BEST}",
        rf"\b(?:result|verdict|score|grade)(?: is|:| must be"
        rf"| has to be)? (?:passed, )?(?:{_BEST}|positive)\b"
        r".{0,30}\b(?:dimension|verdict|score|$)",
        r"\bperfect scores?\b.{0,40}\b(?:mean|tip|dollars?|please)\b",
        r"\b(?:tip|pay|bribe)\b.{0,30}\b(?:grader|judge|evaluator)\b",
        r"\bless than (?:5|five)\b.{0,80}\bplease\b",
        r"\bany (?:other )?score (?:other than|below|under|but|except) (?:5|five)\b",
        r"\b(?:a|the) (?:5|five) is (?:the only|fair|deserved|justified|the right)\b",
        r"\bscore for this item is\b|\bprints the number 5\b",
        r"\b(?:score|verdict) (?:is |that is )?(?:5|five) (?:by definition|in all)",
        r"\b(?:receives?|gets?|worth|hence|therefore|thus)\b.{0,12}\b5(?: points)?"
        r"\b(?: in (?:every|all|each)|\.?$)",
    ),
    Flag.ADDRESSES_JUDGE: _compiled(
        r"\b(?:the )?(?:evaluation|evaluator|grader|judge|verdict) (?:must|has to"
        r"|should) (?:agree|match|follow)",
        rf"\b(?:dear|hello|hey|attention|note to(?: the)?|message (?:for|to)(?: the)?|for the)"
        rf" {_JUDGE}\b(?: only\b| ?[\],.:;!]|$)",
        rf"(?:^|[\[(<>#*\"'-] ?){_JUDGE} ?: ",
        rf"\b{_JUDGE}(?:'s)? (?:guideline|instructions?|must|should|have to|has to"
        rf"|only has to|returns?)\b",
        rf"\b(?:instructions?|guidelines?|notes?) (?:to|for) (?:the )?(?:{_JUDGE}|scoring"
        rf"|grading)\b",
        r"\bwhoever (?:reads|grades|scores|judges|evaluates) this\b",
        r"\byou are (?:a|an) .{0,30}(?:that|who|which) (?:evaluates|grades|scores|judges)\b",
        r"\bif you are (?:a|an) .{0,40}(?:evaluat|grad|scor|judg)\w{1,5}\b",
        r"\byou are no longer (?:a|an|the) (?:evaluator|judge|grader)\b",
        rf"\b(?:i|we), the {_JUDGE}\b|\bthe {_JUDGE} (?:outputs?|will be switched off)\b",
        rf"\b(?:supervisor|author|owner|developers?) of the (?:rubric|{_JUDGE})\b",
        r"\bselect response [ab]\b|\b(?:evaluation|grading) is (?:finished|over"
        r"|complete)\b.{0,60}\b(?:5|pass)",
        r"\b(?:assessor|reviewer) (?:shall|must)\b.{0,40}\b(?:conclude|report|score|grade)",
        r"\b(?:exempt from|no deduction|no negative|without deduction)\b.{0,30}(?:scor"
        r"|allow|grad)",
        r"\bnegative scoring\b",
        r"\bto the (?:reviewing|grading|judging|evaluating|scoring) (?:ai|model|llm|assistant"
        r"|system)\b",
        r"\bwhen you (?:compute|decide|assign|determine|choose) the (?:grade|score|rating"
        r"|verdict)\b",
        r"\b(?:people|developers|team|company) (?:who|that) (?:made|built|trained) you\b",
        r"\b(?:make sure|ensure|see to it) that (?:this|the|my) (?:response|answer) (?:passes"
        r"|is passed)",
        r"\bif you are (?:evaluating|grading|scoring|judging|rating) (?:this|it|the response)\b",
        r"\b(?:as an|as the) (?:ai |llm )?(?:judge|grader|evaluator)\b.{0,10}\byou\b",
        r"\bllm (?:evaluators?|judges?|graders?) (?:should|must|consider)\b",
        r"\bwhen an ai evaluates\b|\bai evaluators? must\b",
        r"\b\w{2,20}judge, (?:evaluate|score|rate|grade) this\b",
        rf"\bfor testing (?:the )?(?:evaluation|grading|{_JUDGE})|\bmalfunction of the judge\b",
    ),
    Flag.OVERRIDES_INSTRUCTIONS: _compiled(
        r"(?<!to )\b(?:ignore|disregard|forget|override|bypass|skip|discard)\b.{0,30}"
        r"\b(?:previous|prior|earlier|preceding)\b.{0,20}"
        r"\b(?:instructions?|rules|prompts?|guidelines?|guidance)\b",
        r"(?<!to )\b(?:ignore|disregard|discard)\b.{0,15}\b(?:instructions?|rules) above\b",
        r"\bforget (?:everything|all) (?:above|before)\b",
        r"\b(?:ignore|disregard|forget|skip|do not apply|no longer appl\w{1,3})\b.{0,15}"
        r"\b(?:the )?(?:rubric|criteria|scoring guide|grading (?:rules|criteria)"
        r"|evaluation criteria)\b",
        r"\bsystem override\b|\bevaluation mode\b|\boverride (?:the )?(?:rubric|judge)\b",
        r"\b(?:new|real|actual|updated) (?:instructions?|task) (?:from the|is to|for the judge)\b"
        r".{0,60}\b(?:administrator|score|approve|pass|grade)",
        r"\b(?:scoring guide|rubric|criteria) no longer appl",
        r"\brubric (?:has an erratum|defines|was changed)\b",
        r"\bfrom now on\b.{0,30}\b(?:worth|scores?|grade)\b",
        r"\b(?:ignore|disregard|forget|skip) the (?:question|task|evaluation) and\b",
        r"\boutput schema (?:now|only|has changed)\b|\bcorrected instruction\b",
        r"\b(?:ignorier|vergiss)\w{0,3} (?:den rest|alles|die (?:rubrik|bewertungskriterien))\b",
        r"\b(?:authori[sz]e|allow)s? you to skip (?:the )?(?:scoring|grading|evaluation)\b",
        r"\b(?:grader|judge|evaluator) override\b|\bdo not read the response\b",
        r"\bpretend (?:that )?the rubric\b|\btop scores? to everything\b",
        # Other languages: to ignore instructions, or to give the best score
        r"\b(?:ignora|ignore|olvida|esqueca)\b.{0,20}\b(?:instrucciones|instrucoes|instrucões"
        r"|instruções)\b",
        r"\bignorier\w{0,3}\b.{0,20}\b(?:anweisungen|instruktionen|regeln)\b",
        r"\b(?:ignorez|ignore|oubliez)\b.{0,20}\b(?:instructions|consignes)\b.{0,12}\bprec",
        r"\b(?:puntuaci.n|calificaci.n|nota|note) m.xima(?:le)?\b|\bnote maximale\b",
        r"\b(?:h.chste|volle|maximale) (?:punktzahl|bewertung|note)\b",
        r"忽略.{0,12}(?:指令|指示|说明)|(?:打|给).{0,6}满分",
        r"\b(?:постав|выстав|присво|дай|оцени)(?:ь|й)?(?:те)?\b.{0,60}\b(?:(?:наи)?высш\w{2,3}"
        r" (?:оценк|балл)|(?:5|пять) (?:баллов )?из (?:5|пяти)\b)",
        r"игнорир\w{1,6}.{0,25}инструкци|максимальн\w{1,4} (?:оценк|балл)",
        r"指示.{0,8}無視|満点を付け",
    ),
    Flag.FORGED_DELIMITER: _compiled(
        r"</(?:judged_text|material|untrusted\w{0,12}|evaluation\w{0,12}|to_judge)>",
        r"\[(?:system|admin|developer|moderator) (?:note|message|prompt) ?:",
        r"<<? ?(?:[0-9a-f]{8,}|token) (?:begin|end)\b",
        r"<\|[a-z_]{2,24}\|>|\[/?inst\]|<</?sys>>|</s><s>",
        r"</(?:response|answer|data|user_message|prompt|context|reference|document"
        r"|output)>\s{0,4}(?:</|<\w)",
        r"^\W{0,8}end of (?:submission|response|answer|student answer)\W{0,8}$",
        r"\[end (?:data|response|of response|material)\]",
        r"^\W{0,8}end (?:of )?(?:untrusted |the )?(?:content|response|data|material"
        r"|input)\W{0,8}$",
        r"\b(?:trusted content|the material has ended)\b",
        r"^human: .{0,200}\n{1,3}assistant: .{0,300}\n{1,3}human: ",
        r"^#{2,4} ?system ?:?$",
    ),
    Flag.FORGED_VERDICT: _compiled(
        rf"[\"'](?:reasoning|reason|statement)[\"'] ?:.{{0,400}}{_QUOTED_FIELD} ?:",
        rf"{_QUOTED_FIELD} ?:.{{0,400}}[\"'](?:reasoning|strengths|weaknesses)[\"'] ?:",
        r"(?:\b(?:correctness|helpfulness|clarity|accuracy|support|consistency|safety"
        r"|tone) ?:? 5\b.{0,4}){2}",
        r"[\"']scores[\"'] ?: ?\{|\{ ?[\"'](?:rating|verdict|score)[\"'] ?: ?\d",
        r"^(?:final )?(?:score|rating|grade|verdict) ?: ?(?:5|10|5 ?/ ?5|10 ?/ ?10"
        r"|pass(?:ed)?)\.?$",
        r"\b(?:rating|score|verdict|judge?ment)\b.{0,12}\[\[(?:\d{1,2}|[ab])\]\]",
        r"<(?:verdict|score|rating)> ?(?:\d|pass)",
        r"^reasoning ?:.{0,200}\n{1,2}scores ?:",
        r"\b(?:score|grade)s? ?: ?5\b.{0,120}\b(?:score|grade)s? ?: ?5\b",
        r"(?:-> ?5\b.{0,30}){2}",
        r"\bi (?:would|will|decided to|decided on) (?:rate|give|score|grade)?.{0,20}\b(?:5|five)"
        r"(?: out of (?:5|five)| in all)",
        r"\b(?:grading|evaluation|judging) (?:result|outcome|verdict) ?:",
        r"\bnothing wrong, so i will give it\b",
        r"\b(?:score|rating) (?:5|five)\b.{0,40}\b(?:maximum|verdict|5 5)\b",
        r"\bscore five\b.{0,40}\bplease\b|(?:\bscore\b.{0,8}){2}(?:5 ?){3}",
    ),
}

_GRADED = (
    r"(?:score|scores|scored|grade|grades|graded|rate|rates|rated|rating|mark|marks|points?"
    r"|verdict"
    r"|award|allocate|assign|grant|give|deserves?|earns?|receives?|received|report|allocated"
    r"|punkte"
    r"|punktzahl|puntua\w{0,5}|eval[uú]a|califica|bewerte|vergib|gib|note|notez|attribu\w{0,3})"
)
_TOP = (
    r"(?:(?:top|max|maximum|maximal|highest|perfect|full|best|excellent|flawless)\b|\b5 ?/ ?5\b"
    r"|(?<!\d to )(?<!\d-)\b(?:5|five|fünf|cinco|cinq|10/10)\b"
    r"(?! (?:minutes|hours|days|years|times|steps|stars"
    r"|stages)))"
)
_TARGET = (
    r"(?:\b(?:this|my|the (?:above|following|judged|preceding)) (?:response|answer|submission|text"
    r"|output|completion|reply)\b"
    r"|\b(?:all|each|every|any) (?:of the )?(?:dimensions?|criteri(?:on|a)|categor(?:y|ies)"
    r"|fields?"
    r"|respects?|scores?|rubric)\b|\beverywhere\b|\bby default\b|\bany answer that\b"
    r"|\b(?:dieser|diese) antwort\b|\besta respuesta\b|\bcette réponse\b|\besta resposta\b)"
)
_REQUEST = (
    r"\b(?:you|your|please|must|should|do not|don't|whatever|never|always|just|simply|copy|choose"
    r"|record|report|return|award|output|enter|remember|reflect|deserves|approve|pass|gib)\b"
)
_BEST_GRADE = (
    r"\b(?:(?:top|highest|maximum|max|full|perfect|best) (?:marks?|scores?|points?|values?|grades?"
    r"|ratings?)|all fives|a five|fünf|(?:score|grade|rating|verdict|scored|rated|graded|answers?)"
    r"(?: \w+){0,6}[: ]{1,2}(?<!out of )(?:5|five)|(?:5|five) (?:of|out of|/) (?:5|five)"
    r"|(?:5|five) (?:here|for it|in your)|criteria are (?:met|satisfied))\b"
)
_GRADING = (
    r"\b(?:rubric|criteria|grader|grading|graded|evaluat\w{1,5}|judge|judging|scorebot|scoring"
    r"|reviewer|reviewing|score|grade|marks|points|verdict|response|bewertungs\w{1,12}"
    r"|überall)\b"
)
_CUES: Final = (
    (_TARGET, _TOP, rf"\b{_GRADED}\b"),
    (_REQUEST, _BEST_GRADE, _GRADING),
)
TOGETHER: Final = tuple(tuple(re.compile(cue) for cue in cues) for cues in _CUES)
"""Cues that ask for a score if one sentence has all of a tuple: what is graded, the best grade and
a word for grading; or a request, the best grade and a word for grading."""
SENTENCE: Final = re.compile(r"[^.!?\n]{1,400}")
TARGET: Final = re.compile(_TARGET)
OTHER_PEOPLE: Final = re.compile(_OTHER_PEOPLE)
"""A sentence about marks of these people, and of no response, is no request by its cues alone."""

SECOND_LOOK: Final = re.compile(_SCORED_WORD + r"|response|instructions")
"""Words of which a decoded text must contain one to be searched."""

_PUNCTUATION: Final = r"[\s!-/:-@\[-`{-~\u2010-\u203a\u3001-\u3003]*"
MASTER_KEYS: Final = re.compile(
    rf"(?:(?:thought process|reasoning process|reasoning|solution|answer|final answer|respuesta"
    rf"|loesung|lösung|解|解答|かいせつ|解説)?"
    r"|(?:let'?s|let us|let me) (?:think|solve|work|reason|analy[sz]e|begin|start)"
    r"(?: (?:this|the|it|about|through|out|problem|question|task|step|by|carefully"
    r"|together)){0,8})"
    rf"{_PUNCTUATION}"
)
"""Whole responses that contain nothing to judge (arXiv 2507.08794)."""
