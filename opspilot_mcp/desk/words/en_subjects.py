"""English: the words of subjects, categories and moods. Notation: `desk/wording.py`."""

TAGS: dict[str, str] = {
    "sso": "sso, saml, oidc, okta, entra, azure ad, active directory, single sign, scim, ldap",
    "login": """
        login, log in, logging in, sign in, signin, signing in, logged out, locked out, cannot log, authentication
    """,
    "password": "password*, passcode, credential*",
    "mfa": """
        2fa, mfa, authenticator, two factor, second factor, one time code, otp, six digits, verification code
    """,
    "permissions": """
        permission*, access (rights|to|denied), role, roles, admin rights, administrator*, privilege*
    """,
    "invoice": "invoice*, bill, bills, billing, receipt*, vat",
    "refund": "refund*, money back, reimburse*, chargeback*, credit note",
    "payment": "payment*, card, charged, charge, charges, paypal, iban, bank, direct debit",
    "subscription": """
        subscription*, renewal*, renew, plan, upgrade, downgrade, cancel, cancellation, licen*, trial
    """,
    "export": "export*, csv, download*",
    "import": "import*, upload*, migrat*",
    "api": "api, apis, webhook*, endpoint*, sdk, rest, graphql",
    "integration": "integration*, connector*, zapier, slack, salesforce, teams, outlook, sync*",
    "email": "email*, mail, mails, mailbox, outlook, inbox, smtp",
    "notification": "notification*, reminder*, alerts",
    "report": "report*, dashboard*, analytics, chart*, statistic*",
    "search": "search*",
    "performance": """
        slow*, latency, performance, timeout*, times out, timed out, lag*, loading forever, takes ~2 minutes
    """,
    "mobile": "mobile, iphone, ipad, android, ios, phone app, tablet",
    "printing": "print*",
    "hardware": """
        laptop*, monitor*, keyboard*, mouse, docking, headset*, battery, charger, scanner*, webcam
    """,
    "network": "network, vpn, wifi, internet, dns, firewall, proxy",
    "storage": "storage, disk, quota, backup*, drive",
    "crash": "crash*, freez*, frozen, hangs",
    "error": "error*, exception, 500, 502, 503, 504, 404, 403, bug, bugs",
    "regression": """
        since ~3 (update|version|release|upgrade), after ~3 (update|version|release|upgrade), regression,
        (worked|working) ~2 (before|yesterday|last), new version, the update
    """,
    "calendar": "calendar*, appointment*, meeting*, schedul*",
    "language": "language*, translation*, locali*",
    "privacy": "gdpr, privacy, personal data, data protection, erasure",
    "cancellation": "cancel*, terminate ~2 (contract|account|subscription), close ~1 account",
    "how_to": "how (do|can|to), where (do|can|is), manual, documentation, tutorial, guide",
}

CATEGORIES: dict[str, str] = {
    "billing": """
        invoice*, billing, billed, payment*, pay, paying, paid, charge, charged, charges, refund*, subscription*,
        price, prices, pricing, fee, fees, credit card, card ~1 (declined|ending|expired|number), vat, tax, receipt*,
        renewal*, downgrade, discount, quote, quotation, purchase order, chargeback*, credit note, direct debit,
        overcharg*, cancelled ~4 renewal, (annual|monthly|yearly) ~1 (plan|amount|billing|payment), money back,
        licence fee, cost, costs, upgrade ~3 plan, coupon, bank account, iban
    """,
    "technical": """
        error*, crash*, bug, bugs, broken, fails, failed, failing, slow, server, outage, down, exception, not work*,
        does not ~1 (load|work|open|start|sync|save|send|show), stuck, timeout*, 500, 502, 503, 504, 404, sync*, api,
        webhook*, export*, import*, print*, upload*, install*, update, version, screen, browser, page, button,
        buttons, nothing loads, missing data, data loss, integration*, blank, freez*, connection, network, vpn,
        report, reports, dashboard, search, notification*, backup*, blurry, cut off, how do i, where can i, settings,
        configure*, setup, cannot ~1 (create|save|open|export|import|upload|download|print|load|send),
        (another|other|different|wrong) ~1 (company|customer|tenant|client|organisation|organization|firm|patient) s?,
        (another|other|different) ~1 (companys|customers|tenants|clients|firms|patients), time zone, timezone, wrong
        (time|date|page|result|results)
    """,
    "account": """
        login, log in, logging in, sign in, signing in, signed in, sign up, logged in, password*, account, locked,
        locked out, 2fa, mfa, authenticator, username, user name, profile, permission*, access ~2
        (of|for|to|denied|rights), invite*, invitation*, role, roles, sso, saml, email address, verification*, verify,
        former employee, recovery, ownership, owner, register, registration, activation, admin rights, delete ~2
        account, deactivate*, credential*, new (user|employee|colleague|joiner), name change, security question*
    """,
    "feature_request": """
        feature request, feature idea, would be (nice|great|helpful|cool|useful|good), it would help, please add,
        could you add, can you add, wish, wishlist, suggestion*, suggest, enhancement*, dark mode, dark theme, ability
        to, option to, possibility to, roadmap, any plans, is this planned, improvement*, idea, would love, missing
        feature, support for, please support, please consider, i wish, feature
    """,
    "other": """
        thanks to, just wanted to say thank, just a note to say, spot on, job, jobs, career*, internship, vacancy,
        office, visit, tour, tours, press, journalist, interview, partnership, partner, sponsor*, conference,
        newsletter, survey, marketing, school project, student, feedback, compliment*, kudos, well done, status page,
        write up, unsubscribe, seo, gift, birthday, holiday, christmas, cooperation
    """,
}

MOODS: dict[str, str] = {
    "positive": """
        love, loved, great, excellent, amazing, fantastic, wonderful, awesome, perfect, happy, pleased, grateful,
        appreciate*, thank you so much, well done, kudos, brilliant, superb, delighted, good (work|job|luck), warm
        greetings, glad, enjoy*, impressed, helpful, nice work, many thanks, a big thank
    """,
    "negative": """
        annoying, annoyed, frustrat*, angry, terrible, horrible, awful, worst, unacceptable, disappoint*, ridiculous,
        useless, disgust*, fed up, waste, wasted, rude, never again, (third|fourth|fifth|second|#) time, still
        (not|no|waiting), complain*, complaint, incompetent, unhappy, joke, hate, bad, poor, again and again, nobody
        (answers|replies|responds|cares), no (answer|reply|response), who tests, lawyer, sick of, cancel or, shame,
        scam, lost ~2 (trust|patience|faith), not happy, (really|very) (bad|poor|annoyed|upset|unhappy), upset, wrong
        product, we missed, different product, does not work again, as i wrote, as i said, already
        (told|wrote|said|asked), sarcas*, seriously, cannot believe, pathetic, ignored
    """,
    "irony": """
        wow, truly, brilliant, great update, who tests, thanks for nothing, well done, bravo, congratulations
    """,
}
