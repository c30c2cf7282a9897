"""Secrets in wrong places of settings, each as somebody might write it by mistake."""

MARK = "s3cr3tMARKnine"

PLACES = (
    "mqtt: {{password: {}}}\n",
    "web: {{password: {}}}\n",
    "bridges: [{{host: a, token: {}}}]\n",
    "nuki_web: {{token: {}}}\n",
    "nuki_web: {{webhook: {{secret: {}}}}}\n",
    "nuki_web: {{webhook: {{path: {}}}}}\n",
    "mqtt: {{password_file: {}}}\n",
    "bridges: [{{host: a, token_file: {}}}]\n",
    "mqtt: {{pasword: {}}}\n",
    "mqtt: {{host: 'mqtt://me:{}@192.0.2.2'}}\n",
    "bridges: {}\n",
    "bridges: [{}]\n",
    "mqtt: {}\n",
    "{}\n",
    "mqtt: {{port: {}}}\n",
    "bridges: [{{host: a, id: {}}}]\n",
    "devices: {{1A2B3C4D: {}}}\n",
)
SHAPES = (
    MARK,
    f"[{MARK}]",
    f"{{a: {MARK}}}",
    f"[[{MARK}]]",
    f"&a {MARK}",
    f"[&a {MARK}, *a]",
    f"*{MARK}",
    f"&{MARK} a",
    f"!{MARK} a",
    f"!!binary {MARK}",
    f'"{MARK}\\n"',
    f'"{MARK}',
    f'"{MARK}\\q"',
    f"'{MARK}''",
    f"{MARK * 100}",
    f"{MARK}: : ",
    f"{MARK}\t\t: x",
    f"\t{MARK}",
    f"|\n {MARK}",
    f"%{MARK}",
    f"@{MARK}",
    f"`{MARK}`",
    f"{MARK}\0",
    f"{MARK}\n--- {MARK}",
    f"{{password:{MARK}}}",
    f"{{token {MARK}}}",
)
NAMES = (
    "MQTT__PASSWORD",
    "WEB__PASSWORD",
    "BRIDGES__0__TOKEN",
    "NUKI_WEB__TOKEN",
    "NUKI_WEB__WEBHOOK__SECRET",
    "MQTT__PASSWORD_FILE",
    "MQTT__PORT",
)


VALUES = (MARK, f"{MARK}\n", MARK * 100, f"[{MARK}]", f"{MARK}\0", f"a={MARK}")
SUFFIXES = ("", "__A", "__0", "_FILE", "S", "__A__B__C__D")
