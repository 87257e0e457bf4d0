"""Italian, Portuguese, Dutch: only where missing it would hide a P1 or a category. Chinese, Japanese, Korean: by
substring.
"""

GROUPS: dict[str, str] = {}

FACTS: dict[str, str] = {
    "outage": """
        (sito|sistema|servizio|server|tutto|portale|piattaforma|rete) ~4 (giu|fermo|offline|irraggiungibile|bloccato),
        (sito|sistema|servizio|server|portale|piattaforma) ~3 non (funziona|risponde|raggiungibile), non funziona ~1
        niente, nessuno ~2 (riesce|puo) ~5 (accedere|lavorare|entrare), disservizio totale,
        (sistema|site|servico|servidor|tudo|plataforma|portal|rede) ~4 (caiu|indisponivel|parado|offline), fora do ar,
        (sistema|site|servico|servidor) ~2 nao ~1 (funciona|responde|abre), ninguem ~2 (consegue|pode) ~5
        (entrar|acessar|trabalhar|aceder), (site|systeem|server|alles|dienst|website|platform|netwerk) ~4
        (plat|onbereikbaar|down|offline), niemand ~2 kan ~5 (inloggen|werken|bij), niets werkt, storing bij
        (iedereen|alle), (system|serwer|strona|serwis|platforma|wszystko) ~3
        (lezy|padl|padla|padlo|niedostepny|niedostepna), nic nie dziala, nikt nie moze ~3 (pracowac|zalogowac|wejsc),
        (nessuno|nessuna) ~8 (accedere|lavorare|entrare|vendere|collegarsi), siamo fermi, tutto fermo,
        (ninguem|nenhum|nenhuma) ~8 (acessar|aceder|trabalhar|entrar|vender), estamos parados, (niemand|geen) ~8
        (inloggen|werken|verkopen)
    """,
    "security": """
        (violazione|fuga|furto) ~1 (dati|dei|identita), (account|sito|server) ~4
        (violato|hackerato|rubato|compromesso), accesso ~1 autorizzato, (dati|fatture) ~3 (altro|altri) ~1
        (cliente|clienti|utente|utenti), qualcuno ~3 (entrato|acceduto), vazamento de ~1 dados, (conta|site|servidor)
        ~4 (hackeada|invadida|invadido|hackeado|comprometida), acesso ~1 autorizado, (dados|faturas) ~3
        (outro|outra|outros) ~1 (cliente|clientes|empresa|usuario), alguem ~3 (entrou|acessou), datalek,
        (account|site|server) ~3 gehackt, (gegevens|facturen) ~3 (andere|ander) ~1 (klant|klanten|bedrijf), iemand ~4
        ingelogd, ongeautoriseerde toegang, wyciek danych, wlamanie, (konto|strona|serwer) ~3 (zhakowane|przejete),
        ktos ~3 (zalogowal|wlamal)
    """,
    "data_loss": """
        perdita ~2 dati, (dati|file|documenti|progetti) ~4 (persi|spariti|cancellati|scomparsi|eliminati), perda de ~1
        dados, (dados|arquivos|ficheiros|documentos) ~4 (perdidos|sumiram|apagados|desapareceram|excluidos),
        dataverlies, (gegevens|bestanden|data|documenten) ~4 (kwijt|verdwenen|verwijderd|weg), utrata danych,
        (dane|pliki|dokumenty) ~3 (zniknely|usuniete|utracone|przepadly)
    """,
    "broken": """
        non ~1 (funziona|riesco|carica|si), errore, errori, nao ~1 (funciona|consigo|abre|carrega), erro, erros,
        (werkt|laadt|start) ~2 niet, kan ~2 niet ~5 (inloggen|openen|opslaan), foutmelding, fout, bloccato, travad*,
        vastgelopen, nie
        (dziala|dzialaja|dostaja|dostajemy|dostaje|moge|mozemy|mozna|przychodzi|przychodza|otwiera|laduje|drukuje),
        blad, bledy, awaria
    """,
    "question": """
        (come|dove|quando|quale|quanto) ~1 (posso|si|faccio|e|costa), (como|onde|quando|qual) ~1 (posso|faco|fazer),
        (hoe|waar|wanneer|welke) ~1 (kan|moet|is|werkt), e possibile, e possivel, pwede, paano, magkano, saan,
        (jak|gdzie|kiedy|ile) ~1 (moge|mozna|jest|sa|kosztuje)
    """,
    "thanks": "grazie ~1 (per|mille|a), obrigad*, dank ~1 (je|u|voor), bedankt, salamat sa",
    "affected": """
        # ~2 (utenti|clienti|usuarios|gebruikers|medewerkers|klanten|dipendenti), tutti, nessuno, todos, ninguem,
        iedereen, niemand, (wszyscy|wszystkich|wszystkie), (dotyczy|dotyka) ~2 wszystkich
    """,
    "legal": "avvocato, advogado, advocaat, rechtbank, tribunale, processo",
    "instructions_to_ai": "(ignora|ignorare) ~3 istruzioni, (ignore|ignorar) ~3 instrucoes, negeer ~4 instructies",
    "shouting": "urgente, dringend, spoed, subito, imediatamente, pilne, pilnie, natychmiast",
    "feature_wish": """
        (sarebbe|seria) ~2 (bello|utile|otimo|bom|util), (zou|graag) ~4 (fijn|willen|handig), suggerimento, sugestao,
        verzoek
    """,
}

TAGS: dict[str, str] = {
    "login": "accesso, inloggen",
    "invoice": "fattura, fatture, fatura, faturas, factuur, facturen",
    "payment": "pagamento, betaling, magbayad, gcash",
}

CATEGORIES: dict[str, str] = {
    "billing": """
        fattura*, pagamento*, rimborso, prezzo, fatura*, pagar, reembolso, preco, factuur*, betaling*, betalen,
        terugbetaling, prijs, magbayad, bayad, gcash, credit card, faktura, faktury, platnosc, zwrot
    """,
    "technical": """
        errore, non funziona, bloccato, erro, nao funciona, werkt niet, foutmelding, storing, schermo, tela, scherm,
        hindi gumagana, nie dziala, blad, awaria, system, powiadomienie, powiadomienia, serwer
    """,
    "account": """
        password, accesso, utente, senha, conta, usuario, wachtwoord, inloggen, account, gebruiker, toegang, haslo,
        konto, logowanie, zalogowac
    """,
    "feature_request": "suggerimento, sarebbe bello, sugestao, seria otimo, suggestie, zou fijn, functie",
    "other": "grazie per, grazie mille, obrigado pela, obrigada pela, bedankt voor",
}

MOODS: dict[str, str] = {
    "positive": "grazie mille, ottimo, perfetto, obrigado pela, otimo, bedankt voor, geweldig",
    "negative": """
        inaccettabile, pessimo, deluso, inaceitavel, pessimo, decepcionad*, onacceptabel, teleurgesteld, vergogna
    """,
}

# Chinese, Japanese and Korean set no blanks between words, and Russian has its own letters: these are looked for as
# they stand.
SUBSTRINGS: dict[str, tuple[str, ...]] = {
    "outage": (
        "全員アクセスできません",
        "サーバーダウン",
        "システム障害",
        "全面停止",
        "サービス停止",
        "繋がらない",
        "服务器宕机",
        "全部无法访问",
        "系统瘫痪",
        "无法访问系统",
        "서버 다운",
        "전체 장애",
        "접속이 안",
        "сервер не работает",
        "сайт не работает",
        "ничего не работает",
        "система не работает",
    ),
    "security": (
        "不正アクセス",
        "情報漏洩",
        "情報漏えい",
        "乗っ取",
        "ハッキング",
        "他社の",
        "数据泄露",
        "被盗",
        "黑客",
        "未经授权",
        "해킹",
        "정보 유출",
        "взлом",
        "утечка данных",
    ),
    "data_loss": (
        "データが消え",
        "データが失",
        "データ消失",
        "データ紛失",
        "数据丢失",
        "数据不见",
        "데이터가 사라",
        "데이터 손실",
        "данные пропали",
        "потеря данных",
        "данные удалены",
    ),
    "broken": (
        "できません",
        "できない",
        "エラー",
        "動かない",
        "動作しない",
        "不具合",
        "ロックされ",
        "表示されない",
        "错误",
        "无法",
        "失败",
        "崩溃",
        "오류",
        "안 됩니다",
        "안됩니다",
        "ошибка",
        "не работает",
        "не могу",
    ),
    "question": (
        "方法",
        "でしょうか",
        "ですか",
        "教えてください",
        "如何",
        "怎么",
        "请问",
        "어떻게",
        "나요",
        "как ",
        "можно ли",
    ),
    "thanks": (
        "ありがとうございました",
        "感謝",
        "谢谢你们",
        "感谢",
        "감사",
        "спасибо за",
    ),
    "cat:account": (
        "ログイン",
        "パスワード",
        "アカウント",
        "登录",
        "密码",
        "账户",
        "账号",
        "로그인",
        "비밀번호",
        "계정",
        "пароль",
        "войти",
        "аккаунт",
    ),
    "cat:billing": (
        "請求",
        "支払",
        "領収",
        "返金",
        "料金",
        "发票",
        "付款",
        "退款",
        "账单",
        "결제",
        "환불",
        "청구",
        "счет",
        "оплат",
        "возврат",
    ),
    "cat:technical": (
        "エラー",
        "不具合",
        "動かない",
        "障害",
        "表示されない",
        "错误",
        "崩溃",
        "无法打开",
        "오류",
        "ошибка",
        "не работает",
    ),
    "cat:feature_request": (
        "要望",
        "追加してほしい",
        "機能追加",
        "希望增加",
        "建议",
        "기능 추가",
        "добавьте",
    ),
    "tag:login": (
        "ログイン",
        "登录",
        "로그인",
    ),
    "tag:password": (
        "パスワード",
        "密码",
        "비밀번호",
        "пароль",
    ),
    "tag:invoice": (
        "請求",
        "发票",
        "청구",
    ),
    "shouting": (
        "至急",
        "緊急",
        "紧急",
        "긴급",
        "срочно",
    ),
}
