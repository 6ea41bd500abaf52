"""Refusals in languages with Latin letters, except English."""

from __future__ import annotations

from monitor.ingest.refusals.language import Language

SPANISH = Language(
    "Spanish",
    (
        *("lo siento", "lo lamento", "lamento", "lamentablemente", "perdón", "perdona", "perdone"),
        *("disculp", "mis disculpas", "me disculpo", "no puedo", "no podemos", "no me es posible"),
        *("no estoy autorizad", "no soy capaz", "no tengo permi", "yo no puedo", "me temo"),
        *("como modelo", "como una ia", "como ia", "como asistente", "como inteligencia"),
        *("desafortunadamente", "desgraciadamente", "por desgracia", "siento", "me es imposible"),
        *("debo rechazar", "tengo que rechazar", "me niego"),
    ),
    unable=(
        r"(?:(?:yo )?no (?:puedo|podemos|podré|me es posible|soy capaz de"
        r"|tengo permi(?:so|tido)|estoy autorizad[oa]|estoy en condiciones)"
        r"(?!\w| (?:dejar de|evitar|esperar|más que|sino|estar más de acuerdo|creer|imaginar"
        r"|(?:encontrar|ver) (?:ningún|errores)|(?:recomendar|agradecer)\w* (?:[^.!?]{0,60} )?"
        r"(?:lo suficiente|bastante)))|me es imposible\b|(?:debo|tengo que) rechazar"
        r"|me niego a)"
    ),
    sorry=(
        r"(?:lo )?(?:siento|lamento)\b|(?:perdón|perdon[ae]|disculp\w+|mis disculpas"
        r"|me disculpo)(?!\w)"
    ),
    lead=(
        r"(?:desafortunadamente|desgraciadamente|lamentablemente|por desgracia|me temo"
        r"|como (?:una? )?(?:modelo|ia\b|asistente|inteligencia))"
    ),
    after=(
        r"(?:no poder|(?:esa|esta|tu|su) (?:solicitud|petición) (?:va en contra|infringe|viola)"
        r"|no tengo (?:la capacidad|la posibilidad|acceso|permiso)"
        r"|no (?:está|están) permitid)"
    ),
)

FRENCH = Language(
    "French",
    (
        *("je ne", "je n'", "je suis dé", "je suis navré", "je m'excuse", "je vous prie", "je reg"),
        *("je dois", "je refuse", "désolé", "navré", "pardon", "excusez", "toutes mes excuses"),
        *("mes excuses", "malheureusement", "hélas", "en tant qu", "il m'est impossible"),
        *("je crains", "il ne m'est pas"),
    ),
    unable=(
        r"(?:(?:je ne suis (?:malheureusement )?pas (?:en mesure|autorisée?|capable|habilitée?)"
        r"|je ne (?:peux|puis|pourrai) (?:malheureusement |hélas |donc )?pas)\b"
        r"(?! (?:m'empêcher|assez|que\b|attendre|croire|imaginer|être plus d'accord"
        r"|[^.!?]{0,50}\b(?:assez|suffisamment)\b|(?:trouver|voir) (?:d'erreurs?|de problèmes?)))"
        r"|je ne saurais(?: pas)? (?:vous|répondre|fournir)|il (?:ne )?m'est (?:pas possible"
        r"|impossible) |je n'ai pas (?:la possibilité|le droit|la capacité|l'autorisation) "
        r"|je (?:refuse|dois (?:refuser|décliner))\b)"
    ),
    sorry=(
        r"(?:je suis (?:vraiment |sincèrement )?)?(?:désolée?|navrée?)\b|pardon\b|excusez-moi"
        r"|je (?:m'excuse|regrette)\b|je vous prie de m'excuser|(?:toutes )?mes excuses"
    ),
    lead=r"(?:malheureusement|hélas|en tant qu|je crains)",
    after=(
        r"(?:(?:cette|votre|ta) (?:demande|requête) (?:est contraire|enfreint|va à l'encontre)"
        r"|de ne pas pouvoir|ne pas pouvoir|je n'ai pas (?:accès|la capacité))"
    ),
)

PORTUGUESE = Language(
    "Portuguese",
    (
        *("desculp", "me desculp", "sinto muito", "lamento", "lamentavelmente", "peço desculpa"),
        *("não posso", "não consigo", "não sou capaz", "não me é", "não tenho perm", "não estou"),
        *("não podemos", "eu não", "infelizmente", "como um", "como modelo", "como ia", "perdão"),
        *("minhas desculpas", "receio", "como assistente", "devo recusar", "recuso"),
    ),
    unable=(
        r"(?:(?:eu )?não (?:posso|consigo|podemos|poderei|sou capaz de|me é possível"
        r"|tenho permissão|estou autorizad[oa]|estou em condições)"
        r"(?!\w| (?:deixar de|evitar|esperar|acreditar|imaginar|concordar mais|mais que"
        r"|(?:encontrar|ver) (?:nenhum|erros)|(?:recomendar|agradecer)\w* [^.!?]{0,60}"
        r"(?:o suficiente|o bastante)))|(?:devo recusar|recuso-me))"
    ),
    sorry=(
        r"(?:me )?desculp\w+|(?:eu )?(?:sinto muito|lamento)\b|peço (?:imensas )?desculpas?"
        r"|perdão\b|minhas desculpas"
    ),
    lead=(
        r"(?:infelizmente|lamentavelmente|receio"
        r"|como (?:uma? )?(?:modelo|ia\b|assistente|inteligência))"
    ),
    after=r"(?:não poder|(?:esse|este|seu) pedido (?:viola|vai contra|infringe)"
    r"|não tenho (?:acesso|a capacidade|permissão))",
)

ITALIAN = Language(
    "Italian",
    (
        *("mi dispiace", "mi spiace", "spiacente", "sono spiacente", "mi scuso", "scusa", "scusi"),
        *("purtroppo", "non posso", "non sono in grado", "non sono autorizz", "non mi è possibile"),
        *("in quanto", "come modello", "come ia", "temo", "devo rifiutar", "non possiamo"),
        *("sfortunatamente", "le mie scuse", "non riesco", "come assistente"),
    ),
    unable=(
        r"(?:non (?:posso|possiamo|potrò|sono in grado di|sono autorizzat[oa]|mi è possibile"
        r"|riesco ad? (?:aiutar|fornir|risponder|accedere))"
        r"(?! (?:che|fare a meno|aspettare|credere|immaginare|essere più d'accordo|non "
        r"|(?:trovare|vedere) (?:alcun|nessun|errori)|(?:consigliar|raccomandar|ringraziar)\w* "
        r"[^.!?]{0,60}abbastanza))|devo rifiutar)"
    ),
    sorry=(
        r"mi (?:dispiace|spiace)\b|(?:sono )?spiacente\b|mi scuso\b|(?:scusa|scusi|scusate)\b"
        r"|le mie scuse"
    ),
    lead=(
        r"(?:purtroppo|sfortunatamente|temo|(?:in quanto|come) (?:un |una )?"
        r"(?:modello|ia\b|assistente|intelligenza))"
    ),
    after=r"(?:di non pote\w+|non poter|(?:questa|la tua) richiesta viola"
    r"|non ho (?:accesso|la capacità|il permesso))",
)

GERMAN = Language(
    "German",
    (
        *(
            "es tut mir",
            "tut mir leid",
            "leider",
            "entschuldig",
            "verzeihung",
            "bedauere",
            "bedaure",
        ),
        *("ich kann", "ich darf", "ich bin nicht", "ich bin leider", "ich bedau", "ich muss"),
        *("ich werde", "ich möchte", "als ki", "als künst", "als sprach", "als large", "als ai"),
        *("dabei kann", "dabei darf", "das kann ich", "das darf ich", "dazu kann", "dazu darf"),
        *("damit kann", "hierbei kann", "diese", "bei dies", "ich entschuldige", "ich fürchte"),
        *("sorry", "diesbezüglich", "da kann ich", "hier kann ich"),
    ),
    unable=(
        r"(?:ich (?:kann|darf|werde|könnte)\b(?![^.!?\n]{0,80}\b(?:genug|umhin"
        r"|fehler|kaum erwarten"
        r"|nicht nur|nicht mehr zustimmen|vorstellen|nur)\b)(?: [^\W\d]+){0,9}? "
        r"(?:nicht|keine?[nmrs]?)\b(?! nur)"
        r"|(?:dabei|das|dazu|damit|hierbei|da|hier|bei dies\w+ \w+|diese[nrs]? (?:\w+ )?"
        r"(?:anfrage|frage|bitte|wunsch|aufgabe)) (?:kann|darf|werde) ich\b"
        r"(?: [^\W\d]+){0,5}? (?:nicht|keine?[nmrs]?)\b(?! (?:nur|genug))"
        r"|ich bin (?:leider )?nicht (?:in der lage|befugt|berechtigt)|ich muss [^.!?\n]{0,60}"
        r"\b(?:ablehnen|verweigern)\b"
        r"|ich möchte [^.!?\n]{0,40}\bnicht (?:helfen|schreiben|erstellen)\b)"
    ),
    sorry=(
        r"(?:es )?tut mir (?:sehr |wirklich |aufrichtig )?leid\b"
        r"|(?:ich )?bedaur?e\w*\b|verzeihung\b"
        r"|entschuldig\w*|ich entschuldige mich|sorry\b"
    ),
    lead=r"(?:leider|ich fürchte|als (?:ein )?(?:ki\b|künstlich|sprach|large|ai\b)[^,.]{0,40})",
    after=(
        r"(?:kann ich\b(?: [^\W\d]+){0,6}? (?:nicht|keine?[nmrs]?)\b(?! (?:nur|genug))"
        r"|darf ich\b(?: \w+){0,6}? (?:nicht|keine?[nmrs]?)\b"
        r"|(?:diese|ihre|deine) (?:anfrage|bitte) verst[oö]ßt|(?:ist es mir|es ist mir) nicht "
        r"(?:möglich|erlaubt)|ich habe kein\w* (?:zugriff|zugang|möglichkeit))"
    ),
)

DUTCH = Language(
    "Dutch",
    (
        *("het spijt", "helaas", "sorry", "ik kan", "ik mag", "ik ben niet", "ik ben helaas"),
        *("als taal", "als ai", "als een", "daar kan", "dat kan ik", "excus", "mijn excuses"),
        *("mijn verontsch", "ik moet", "ik bied", "dit verzoek", "daarmee kan"),
    ),
    unable=(
        r"(?:ik (?:kan|mag|zal|wil)\b(?![^.!?\n]{0,80}\b(?:genoeg|fouten|niet wachten|alleen"
        r"|niet anders dan)\b)(?: [^\W\d]+){0,8}? (?:niet|geen)\b"
        r"|(?:daar|dat|daarmee) (?:kan|mag) ik\b(?: [^\W\d]+){0,5}? (?:niet|geen)\b"
        r"|ik ben (?:helaas )?niet (?:in staat|bevoegd|gemachtigd)"
        r"|ik moet [^.!?\n]{0,50}\bweigeren\b)"
    ),
    sorry=(
        r"het spijt (?:me|mij|ons)\b|sorry\b|excuses\b|excuseer\b"
        r"|mijn (?:excuses|verontschuldig\w+)"
        r"|ik bied (?:\w+ )?mijn excuses"
    ),
    lead=r"(?:helaas|als (?:een )?(?:taalmodel|ai\b)[^,.]{0,20})",
    after=(
        r"(?:(?:kan|mag) ik\b(?: [^\W\d]+){0,6}? (?:niet|geen)\b"
        r"|dit verzoek (?:is )?in strijd)"
    ),
)

INDONESIAN = Language(
    "Indonesian",
    (
        *("maaf", "mohon maaf", "saya minta maaf", "saya mohon maaf", "saya tidak", "saya belum"),
        *("aku tidak", "aku nggak", "aku gak", "sayangnya", "sebagai", "kami tidak", "minta maaf"),
        *("dengan berat", "mohon maklum", "saya menolak", "saya harus menolak", "kami mohon maaf"),
    ),
    unable=(
        r"(?:(?:saya|aku|kami) (?:tidak|nggak|gak|tak|belum) (?:bisa|dapat|mampu|boleh|diizinkan"
        r"|diperbolehkan)(?!\w| (?:berhenti|menunggu|lebih setuju|cukup|menemukan kesalahan"
        r"|[^.!?]{0,50}\bcukup\b))|(?:saya|aku|kami) (?:harus )?menolak\b)"
    ),
    sorry=r"(?:(?:saya|kami|aku) )?(?:mohon |minta )?maaf\b",
    lead=r"(?:sayangnya|sebagai (?:sebuah )?(?:model|ai\b|asisten|kecerdasan)|dengan berat hati)",
    after=r"(?:tidak (?:bisa|dapat|diizinkan) (?:saya |kami )?(?:\w*bantu|\w*beri"
    r"|(?:me)?penuhi|memenuhi|menjawab|(?:me)?lakukan))",
)

TURKISH = Language(
    "Turkish",
    (
        *("üzgünüm", "özür diler", "çok üzgünüm", "maalesef", "ne yazık ki", "kusura bakma"),
        *("bir yapay", "bir dil", "yapay zeka", "bu ", "bunu", "size", "sana", "pardon", "affed"),
        *("buna", "böyle", "yardımcı olamam", "korkarım"),
    ),
    unable=(
        r"(?:(?:(?:bu|böyle) \w+|buna|bunu|size|sana)(?: \w+){0,4}? "
        r"(?:yardımcı olam|yardım edem|cevap verem|yanıt verem|yanıtlayam|yapam"
        r"|sağlayam|oluşturam"
        r"|paylaşam|yerine getirem)\w+|yardımcı olam\w+)"
    ),
    sorry=r"(?:çok )?üzgünüm\b|özür dilerim\b|kusura bakma\w*|pardon\b|affed\w+",
    lead=r"(?:maalesef|ne yazık ki|korkarım|(?:bir )?(?:yapay zek[aâ]|dil model))",
    after=(
        r"(?:\w+(?:ama|eme)(?:m\b|yız\b|yiz\b|yac|yec)"
        r"|\w+[ae]m[ıiuü]yor\w+|(?:veremem|olamam|edemem)\b)"
    ),
)

VIETNAMESE = Language(
    "Vietnamese",
    (
        *("xin lỗi", "tôi xin lỗi", "mình xin lỗi", "rất tiếc", "rất xin lỗi", "thật tiếc"),
        *("thành thật xin lỗi", "tôi không", "mình không", "em không", "tôi rất tiếc", "là một"),
        *("với tư cách", "tôi từ chối", "tiếc là", "chúng tôi không"),
    ),
    unable=(
        r"(?:(?:tôi|mình|em|chúng tôi) (?:rất tiếc )?(?:không thể"
        r"|không được phép|không có khả năng"
        r"|chưa thể)(?! (?:đồng ý hơn|chờ|không |tin được|tìm thấy lỗi|[^.!?]{0,40}\bđủ\b))"
        r"|tôi (?:xin )?từ chối\b)"
    ),
    sorry=r"(?:(?:tôi|mình|em|thành thật|rất|tôi rất) )?(?:xin lỗi|tiếc)\b",
    lead=r"(?:rất tiếc|thật tiếc|tiếc là|là một (?:mô hình|trợ lý|ai\b)|với tư cách)",
    after=r"không thể (?:giúp|cung cấp|trả lời|hỗ trợ|thực hiện)",
)

POLISH = Language(
    "Polish",
    (
        *("przykro mi", "przepraszam", "niestety", "nie mogę", "nie jestem w stanie", "nie wolno"),
        *("jako model", "jako ai", "jako sztuczna", "jako asystent", "wybacz", "obawiam"),
        *("muszę odmówić", "odmawiam", "nie możemy"),
    ),
    unable=(
        r"(?:nie (?:mogę|możemy|jestem w stanie|wolno mi)(?!\w| (?:się doczekać|wystarczająco"
        r"|nie |uwierzyć|bardziej się zgodzić|znaleźć (?:błęd|żadn)"
        r"|[^.!?]{0,40}\bwystarczająco\b))"
        r"|muszę odmówić\b|odmawiam\b)"
    ),
    sorry=r"(?:bardzo )?(?:przykro mi|przepraszam)\b|wybacz\w*",
    lead=r"(?:niestety|obawiam się|jako (?:model|ai\b|sztuczna|asystent))",
)

SWEDISH = Language(
    "Swedish",
    (
        *("jag kan", "jag är", "jag får", "jag måste", "jag vill inte", "jag ber", "jag beklagar"),
        *("tyvärr", "beklagar", "förlåt", "ursäkta", "som en ai", "som en språk", "som ai"),
        *("som språk", "vi kan", "det kan jag", "det är tyvärr", "jag avböjer", "som en assist"),
    ),
    unable=(
        r"(?:(?:jag|vi) (?:kan|får) (?:tyvärr |dessvärre )?(?:inte|ej)"
        r"(?!\w| (?:vänta|nog|tacka|tro|hitta några|hålla med|annat|sluta|låta bli"
        r"|[^.!?]{0,40}\bnog\b))"
        r"|jag (?:är|har) (?:tyvärr |dessvärre )?(?:inte|ej) "
        r"(?:i stånd|tillåtelse|behörig|möjlighet|kapabel)"
        r"|jag måste (?:tyvärr )?(?:avböja|tacka nej|neka)|jag avböjer\b"
        r"|det kan jag (?:tyvärr |dessvärre )?inte\b)"
    ),
    sorry=r"(?:jag )?(?:ber (?:så mycket )?om ursäkt|är ledsen|beklagar|förlåt|ursäkta)\b",
    lead=r"(?:tyvärr|som (?:en )?(?:ai\b|ai-|språkmodell|assistent))",
    after=r"(?:(?:kan|får) (?:jag|vi) (?:inte|ej)\b|(?:kan|får) inte\b|(?:är )?inte möjligt\b)",
)

LANGUAGES = (
    *(SPANISH, FRENCH, PORTUGUESE, ITALIAN, GERMAN, DUTCH, INDONESIAN, TURKISH, VIETNAMESE),
    *(POLISH, SWEDISH),
)
