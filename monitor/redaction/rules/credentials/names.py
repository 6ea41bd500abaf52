"""Names of passwords in the languages of the world, and the words that join a name and a value."""

from __future__ import annotations

NAMES = (
    *("passwords?", "passwd", "pass[ -]?phrases?", "pass[ -]?codes?", "passwort", "kennwort"),
    *("contraseña", "contrasena", "mot de passe", "senha", "wachtwoord", "hasł(?:o|em)"),
    *("парол(?:ь|я|ем|і)", "parol[aă](?:m|sı|mız|nız)?", "şifre(?:m|si|miz|niz)?", "lösenord"),
    *("passord(?:et)?", "adgangskode", "kodeord", "heslo", "jelsz(?:ó|avam|ava)"),
    *("salasana(?:ni|mme|si)?", "salasõna", "slaptažodis", "lozinka", "лозинка", "geslo"),
    *("парола(?:та)?", "contrasenya", "palavra[- ]passe", "mật khẩu", "kata (?:sandi|laluan)"),
    *("kode sandi", "סיסמה", "סיסמא", "הסיסמה", "पासवर्ड", "পাসওয়ার্ড", "கடவுச்சொல்", "గుప్తపదం"),
    *("كلمة (?:المرور|السر|مرور|سر)", "كلمه (?:المرور|السر)", "رمز (?:عبور|المرور)", "گذرواژه"),
    *(
        "پاس ?ورڈ",
        "รหัสผ่าน",
        "密码",
        "密碼",
        "口令",
        "パスワード",
        "暗証番号",
        "비밀번호",
        "비번",
        "암호",
    ),
    *("κωδικός", "κωδικό", "συνθηματικό", "lykilorð", "parool", "parole", "fjalëkalimi"),
    *("pasahitza", "cyfrinair", "nenosiri", "wagwoord", "գաղտնաբառ", "პაროლი", "құпия ?сөз"),
)
DIRECTIVES = ("requirepass", "masterauth", "bind_?pw", "root_?pw", "wpa_passphrase", "psk")
"""Settings of programs whose value is a password: of Redis, LDAP, kickstart, Wi-Fi."""
WEAK_NAMES = ("clave", "chave de acesso", "zugangscode", "codice di accesso", "pre-?shared[ -]?key")
"""Names that mean other things too; their values must not look like words."""
SHORT_NAMES = ("pass", "pwd", "mdp")
IS = (
    "is|was|are|ist|war|lautet|lautete|es|era|est|était|é|è|jest|to|brzmi|är|var|er|je|on"
    "|c['’]est|là|adalah|ialah|είναι|este|هي|هو|है|היא|—|–"
)
"""What stands between the name and the value in prose, with blanks around it."""
NOW = (
    "now|currently|actually|still|from now on|as of today|jetzt|nun|ab (?:jetzt|heute|sofort)"
    "|seit heute|maintenant|désormais|ahora|desde hoy|agora|a partir de agora|adesso|da oggi|nu"
    "|vanaf nu|teraz|od dziś|теперь"
)
POSSESSIVES = (
    "my|our|his|her|their|your|mein|meine|unser|dein|ihr|mi|tu|su|mon|votre|notre|minha|meu|sua"
    "|mia|mio|tua|mijn|moje|mój|můj|mitt|mit|min|моя|мой|мій|наш|benim|我的|我|내|私の|मेरा"
)
END = "(?![a-z])"
"""Follows a name that is not the beginning of a longer word."""
HINTS = tuple(
    rf"(?i:{name})(?:[^a-z]|\Z)" for name in (*NAMES, *DIRECTIVES, *WEAK_NAMES, *SHORT_NAMES, "pw")
)
"""What the prefilter searches: a name and its end."""
HINT_CHARS = 20
"""Upper bound of the length of a match of the hint."""
