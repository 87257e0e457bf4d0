"""English: what states a fact. Notation: `desk/wording.py`."""

from opspilot_mcp.desk.words.en_subjects import CATEGORIES, MOODS, TAGS

__all__ = ["CATEGORIES", "FACTS", "GROUPS", "MOODS", "TAGS"]

GROUPS: dict[str, str] = {
    "site": """
        site website webapp platform service services system systems server servers portal production prod network
        internet everything database saas erp crm intranet app application workspace store shop webshop phones
        telephones telephony email mail vpn wifi software api cloud tool product instance cluster
    """,
    "is": """
        is are was were been went goes gone be being remains stays appears seems still again currently completely
        totally entirely fully keeps became suddenly
    """,
    "data": """
        data records files documents projects project contacts entries history database db backup backups emails mails
        notes photos pictures attachments folders folder tables rows work conversations measurements results
        appointments bookings recordings videos workspace archive library drawings drafts everything patients messages
        inbox mailbox customers tickets orders spreadsheets articles chats logs transactions
    """,
    "gone": """
        gone lost disappeared vanished wiped erased destroyed corrupt corrupted overwritten purged
    """,
    "other": """
        another other others different foreign someone somebody strangers stranger, security questionnaire,
        questionnaire, iso 27001, certification, due diligence, procurement, apply
    """,
    "party": """
        company companies customer customers user users client clients tenant tenants organisation organization
        organisations person people patient patients account accounts firm employee employees family persons team
        business
    """,
    "private": """
        data contacts contact invoice invoices files documents orders order records tickets details messages names
        name address addresses account information inbox mail emails calendar profile dashboard payslip payslips list
        medical photos bookings private personal salary salaries numbers statements chats conversations
    """,
    "thief": """
        someone somebody stranger strangers hacker hackers attacker attackers intruder
    """,
    "people": """
        users user people ppl persons employees staff colleagues customers clients members agents students teachers
        seats workstations machines devices stores shops branches sites offices locations patients drivers nurses
        doctors engineers cashiers tills terminals companies tenants accounts subscribers visitors guests teams
        departments regions schools coworkers workers technicians sellers merchants readers residents participants
    """,
    "unit": """
        team teams office offices company organisation organization department floor building school hospital clinic
        branch store warehouse factory plant staff class site region group tenant workspace firm agency desk shift
        crew squad
    """,
    "day": """
        tonight today tomorrow noon midnight monday tuesday wednesday thursday friday saturday sunday
    """,
}

FACTS: dict[str, str] = {
    "outage": """
        {site} down, {site} ~3 {is} ~2 down, {site} ~3 {is} ~1
        (offline|unreachable|unavailable|inaccessible|unresponsive|dead), {site}
        (offline|unreachable|unavailable|inaccessible|unresponsive), (completely|totally|entirely|fully|hard) down,
        down for (everyone|everybody|all|us|our|the), all (systems|services|servers|sites) ~2 (down|offline|failing),
        everything ~2 (crashed|stopped|broke|failing|broken|dead|frozen), dead in the water,
        (complete|total|full|major|massive|global|widespread|nationwide|severe) ~1 outage, outage
        (since|again|now|ongoing), (have|having|is|experiencing|suffering|see|seeing|facing|current|ongoing|an) ~1
        outage, outage (at|in|on|of|for|affecting),
        (service|system|network|site|platform|server|production|power|internet) outage,
        (production|operations|business|warehouse|line|shop) ~3 (standstill|halted|stopped), at a standstill, nothing
        (loads|works|opens|responds|answers|connects|functions|loading|working) ~2
        (any|all|everyone|us|our|anyone|here), nothing ~1 (loads|works|opens|responds|answers|loading|working) ~1
        (anymore|more|since), nothing is (loading|working), (nobody|noone|none) ~4 (can|able) ~2
        (log|sign|login|access|connect|get|work|reach|enter|trade|operate), no one ~4 (can|able) ~2
        (log|sign|login|access|connect|get|work|reach|enter|trade|operate),
        (all|every|everyone|everybody|entire|whole) ~5 (cannot|unable) ~2
        (log|sign|login|access|connect|work|get|reach|open), (all|every|everyone|everybody|entire|whole) ~4
        (locked|kicked|logged|thrown) out, (every|all|any)
        (page|pages|request|requests|call|calls|screen|screens|endpoint|endpoints) ~4
        (500|502|503|504|timeout|timeouts|fails|fail|failing|blank|error|errors|white|timing|times), (500|502|503|504)
        ~4 (everywhere|every|everyone), (cannot|unable) ~2 (reach|access|load) ~2 {site} ~3
        (all|anyone|everyone|whole), (blackout|bluescreen) ~4 (all|every|whole|entire), (nobody|noone|none) ~4
        (can|able) ~2 (sell|serve|trade|ship|process|take|bill), (all|none|every) ~3
        (stores|shops|branches|tills|sites|offices|locations|warehouses) ~4
        (down|offline|cannot|unable|closed|stopped), (whole|entire|complete) ~2
        (company|business|office|team|hospital|school|factory|plant|warehouse) ~3
        (down|offline|stopped|standing|locked|cannot|unable), (cannot|unable) ~2 (work|operate|trade) at all,
        (everything|everyone|everybody) ~2 (timing|times|timed) out, (every|all|entire|whole) ~4
        (terminal|terminals|till|tills|screen|screens|pc|pcs|computer|computers|workstation|workstations|shop|shops|
        store|stores) ~4 (frozen|down|dead|offline|locked|black), cannot (sell|work|operate|trade|serve|process) ~1
        (anything|anyone|anybody|any|all), (cannot|unable) ~1 (sell|ship|trade|operate|work) ~1 (since|until|right)
    """,
    "security": """
        (security|data|privacy|gdpr|cyber) (breach|incident|leak|attack), breach of ~3
        (data|security|account|system|confidentiality),
        (been|was|were|got|is|are|account|website|site|server|mailbox|system) ~1
        (hacked|compromised|hijacked|breached|defaced), hacked (my|our|into|account), hacker*, ransomware, malware,
        trojan, keylogger, spyware, backdoor, (files|data) ~2 encrypted ~3 ransom, (unauthori*|fraudulent) ~1
        (access|login|logins|sign|transaction*|transfer*|user*|change*|person*|use|charge*|purchase*|payment*),
        {thief} ~2 (logged|signed|got|broke|hacked|accessed|stole|took|entered|changed|gained|reset) ~4
        (as|my|our|into|in|account|password|mailbox|access), {thief} ~1 (is|has|was) ~2
        (using|accessing|reading|logged|access) ~3 (my|our|account|mailbox|data|credentials|password),
        (see|seeing|view|read|access|shows|shown|show|showing|lists|listing|got|received|download|downloaded|displays|
        belong|belongs|belonging) ~4 {other} s? ~1 {party} s? ~4 {private},
        (see|view|read|access|shows|showing|got|received|download|shown) ~3 {private} ~2 (of|from|belonging|for) ~1
        {other} ~1 {party}, {private} ~2 (of|from|belonging) ~1 {other} ~1 {party}, {private} ~3 (not|isnt)
        (ours|mine), {other} s? ~1 {party} s? ~1 {private} ~3
        (visible|shown|appear|appears|instead|open|opened|displayed|readable|came|exposed), (logged|signed|landed) ~1
        (in|into) ~2 {other} s? ~2 (account|workspace|profile|tenant), {other} s? ~2 (account|profile) opened,
        (someone|somebody) else s
        (account|data|invoice*|profile|file*|document*|order*|detail*|inbox|photo*|payslip*|name|address),
        (password*|credential*|secret|secrets|token*|key|keys) ~4
        (leaked|exposed|public|publicly|github|stolen|plaintext|pastebin|repository), (passwords|password|credentials)
        ~3 (plain text|clear text|plaintext), (leaked|exposed|published|pushed|committed|posted) ~3
        (data|credentials|passwords|password|keys|token|database|key|secret|secrets),
        (customer|customers|personal|patient|private|client|user|payroll|salary|sensitive|confidential|medical|bank|
        employee|student) ~2 (data|details|records|information|files|numbers|addresses|list) ~4
        (exposed|leaked|visible|public|publicly|stolen|accessible|published|online|readable|google|anyone|everyone|
        wrong), (anyone|everyone|everybody|anybody) ~3 (can|could) ~1 (see|read|view|open|access|download) ~4
        (our|my|all|data|customer*|private|personal|salar*|payroll|hr|confidential), without ~1
        (logging|login|password|authentication) ~6 (see|view|open|read|access|data|files),
        (see|view|open|access|download) ~6 without ~1 (logging|login|password|authentication),
        (suspicious|strange|unknown|unrecognised|unrecognized|weird) ~1
        (login|logins|sign|activity|device|devices|session|sessions|transaction*|access|ip|user),
        (login|logins|sign|signin|session|sessions|logged) ~4 from ~3
        (russia|china|abroad|unknown|country|countries|city|place|location|ip|vietnam|nigeria|korea|brazil|continent),
        account ~2 (takeover|hijacked|stolen|taken), recovery (address|email|mail|phone|number) ~2 changed, password
        ~2 (was|has|been) ~1 changed ~3 (not|me|without|nobody), without (my|our) (knowledge|consent|permission),
        (i|we|nobody) ~1 (did|have|had) (not|never) ~1
        (do|make|made|request*|authori*|change|changed|order|ordered|initiate|approve|send|sent|create|created|place|
        placed) ~1 (that|this|it|these|any|them|the|those), (i|we) never
        (requested|authori*|made|ordered|changed|sent|created|approved) ~2 (that|this|it|these|them), (that|it) was
        not (me|us), was not me, identity theft, impersonat*, (clicked|opened|entered|typed|gave|fell|submitted) ~6
        (phishing|fake|scam|suspicious), phishing (mail*|email*|attack|page|link|message*|site), (stolen|lost|missing)
        ~2 (laptop|phone|device|notebook|computer|badge|usb|keycard|tablet|token),
        (laptop|phone|notebook|badge|tablet|device) ~3 stolen, (sql|code|script|command) injection, xss, csrf, idor,
        cve, zero day, security (vulnerability|hole|flaw|bug|issue|problem), critical (vulnerability|hole|flaw),
        vulnerability, (exploited|exploiting), ~0 sent to ~1 wrong
        (person|customer|recipient*|company|client|patient), permission* ~3 bypass*, (former|ex|dismissed|fired) ~1
        (employee|employees|colleague|admin|staff) ~4 (still|can|has|have) ~2 (access|log|see|read|login|active|open),
        (i|we) have never been ~2 (there|to|in), (session|sessions|login|logins|device|devices|sign) ~6 from ~2
        (belarus|ukraine|india|iran|pakistan|turkey|romania|indonesia|thailand|egypt|morocco|abroad|overseas|
        elsewhere|region|cities|town), do not recogni*, (not|never) recogni* ~3
        (device|login|session|transaction|charge|activity), pretends to (be|come), {private} ~2 (of|from|belonging) ~2
        (stranger|strangers|someone|somebody), (whom|who|that) (i|we) do not know, never heard of, nobody ~3
        (approved|authori*|requested) ~1 (them|it|this|these|that),
        (person|employee|colleague|contractor|user|manager|admin) ~3 (dismissed|fired|terminated|left) ~6 (still|can)
        ~2 (open|access|log|see|read|edit|login|download), ransom, bitcoin,
        (code|codes|login|logins|reset|resets|mail|mails|email|emails|charge|charges|order|orders|payment|payments|
        sms) ~7 (did|have) not (request|ask|order|make|initiate|authori*), extort*, blackmail*, (leaks|leaking) ~3
        (data|customer|customers|personal|information)
    """,
    "data_loss": """
        data (loss|lost|gone), loss of ~3 (data|records|files), (lost|losing) ~1
        (all|our|my|every|everything|months|weeks|years|days) ~4 {data},
        (lost|deleted|wiped|erased|overwrote|overwritten|destroyed|purged|corrupted|removed) ~2
        (all|our|my|entire|whole|every) ~2 {data}, {data} ~4
        (were|was|are|is|been|has|have|got|all|came|just|suddenly) ~2 {gone}, {data} {gone}, {data} ~3
        (were|was|been|got) ~2 deleted, (all|every|entire|whole|half|#) ~3 {data} ~3
        (gone|missing|empty|blank|deleted), all ~1 (of|our|my|the|#) ~3 (is|are|was|were) ~1
        (gone|missing|lost|deleted|erased|wiped), everything ~2 (gone|lost|deleted|wiped),
        (came|back|now|suddenly|completely) ~1 empty, no (other)? (copy|copies|backup|backups), (cannot|unable|failed)
        ~2 (restore|recover) ~4 {data}, (backup|backups|restore) ~3
        (failed|empty|corrupt|corrupted|lost|gone|unreadable), (years|months|weeks|days|hours) of ~3
        (work|data|records|history|entries) ~3 (gone|lost|deleted|missing|wiped), (drive|disk) ~2
        (failure|died|crashed), accidentally ~2 (deleted|removed|wiped|erased|overwrote|purged) ~4 {data},
        (folder|folders|project|projects|mailbox|inbox|archive|database|workspace|library|drive|notebook|board|
        history) ~4 empty, not in the ~1 (trash|recycle|bin), (trash|bin) ~2 (empty|nothing), (where|where did) ~1 ~3
        {data} ~2 go, (gone|missing|vanished|disappeared) (is|are) ~3 {data}, (no|without) ~1 trace of ~3 {data},
        cannot find ~3 {data} ~2 any more, (restore|recover) ~2 from ~1 backup
    """,
    "broken": """
        (cannot|unable|fail|fails|failed) ~2
        (log|sign|login|access|open|save|send|export|import|upload|download|print|create|edit|delete|add|connect|sync|
        load|view|see|pay|book|search|find|install|submit|attach|change|use|start|receive|call|reset|share|close|
        finish|generate|run|enter|do|work|check|assign|invite|register|complete|scan|reach|update|activate|join|post|
        reply|play|process|move|publish|schedule|sell|issue|select|click), cannot get ~2 (in|into|to|it|any|the),
        (does|did|do|is|are|will|was|has|were) not ~1
        (work|working|load|loading|start|starting|open|opening|sync|syncing|save|saving|saved|send|sending|sent|
        respond|responding|connect|update|updating|updated|appear|show|showing|arrive|arrived|arriving|run|running|
        print|printing|display|charge|turn|accept|accepting|function|return|reach|match|let|allow|recogni*|available|
        reachable|possible|receive|received|play|trigger|fire|render|fit|add|react|download|upload|export|import|
        calculate), not working, not (responding|loading|syncing|receiving|getting), (stopped|stops|quit) ~1
        (working|sync*|loading|sending|responding|import*|export*|print*|receiv*|at|arriving|updating), broken, broke,
        crash*, (freezes|frozen|froze|hangs|hanging|hung|stuck|fails|failing|failed|failure|failures),
        (error|errors|exception|bug|buggy|fault|faulty|malfunction*|glitch*), defect*, (times|timed|timing) out,
        timeout*, died, never ~1
        (starts|start|arrives|arrive|arrived|loads|load|works|sends|opens|finishes|syncs|completes|came|received|
        ends), no longer ~1
        (starts|start|arrives|arrive|loads|load|works|work|sends|opens|possible|available|able|syncs|prints|receives|
        shows|appears), nothing (loads|works|opens|responds|happens|appears|working|shows),
        (blank|white|empty|black|blue) (page|screen|pages|screens),
        (button|buttons|menu|tab|option|field|page|feature|column|icon|link) ~3
        (gone|missing|vanished|disappeared|dead),
        (returns|returning|gives|giving|throws|answers|shows|get|gets|getting|says) ~3
        (error|500|502|503|504|404|403|401|invalid|nan|undefined|null|timeout|denied|failed), regression,
        (problem|problems|issue|issues|trouble|difficulty|difficulties)
        (with|when|since|on|in|after|logging|accessing|opening), (very|so|too|extremely|terribly|really|painfully)
        slow, slowness, (wrong|incorrect|duplicate|duplicated|garbled|missing|false|inconsistent) ~1
        (results|values|totals|total|numbers|data|output|characters|entries|amounts|dates|date|figures|rows|time|
        times|order|count), (keeps|kept|keep) ~1
        (asking|failing|crashing|loading|spinning|disconnecting|dropping|logging|freezing|restarting|saying|
        rejecting), keeps ~3 out, locked out, (is|are|was|been|got|gets) ~1 (locked|blocked),
        (adds|prints|shows|sends|counts|displays|creates|arrives|arrive) ~3 (twice|blank|double|extra|duplicate*),
        (unusable|inoperable|degraded|unstable|laggy|outdated), does nothing, went (wrong|dead), act* up,
        (is|are|was|comes|come|stays|has an|has) ~1 (empty|blank), empty ~3
        (column|field|file|list|page|slips|passes|report), refuses, rejects, (is|are) missing,
        (shows|see|shown|displays) ~2 wrong, land on, (wrong|other) (day|page|place|order|language|currency), only on
        the second try, back on the login, back to the login, (not|never) (reachable|delivered|received), ends with
    """,
    "component_down": """
        {site} ~1 (page|pages|module|screen|button|function|feature) ~2 down,
        (page|module|checkout|payments|search|sync|export|import|integration|connector|report|reports|calendar|login|
        chat) ~3 (down|dead|offline|unavailable),
        (page|module|checkout|payment|payments|search|sync|export|import|integration|connector|report|reports|
        calendar|login|chat|printer|printers|scanner|kiosk|feature|function|button|screen|tool|widget|form|editor|
        plugin|endpoint|webhook|terminal) ~3 (down|dead|offline|unavailable|unreachable) ~1 (for|since|at|again)?
    """,
    "cosmetic": """
        cosmetic, blurry, blurred, typo*, misspell*, misalign*, spelling, pixelated, font, fonts,
        (wrong|odd|ugly|different) ~1 (colour|color|icon|shade), (slightly|bit|little) ~1
        (off|blurry|annoying|wrong|cut|small|ugly|late), (minor|small|tiny|little) ~1
        (glitch|bug|issue|problem|fault|thing|detail|error|annoyance|typo), not ~1
        (big|huge|serious|urgent|critical|dramatic) ~1 (thing|deal|issue|problem|hurry), cut off, nothing
        (serious|urgent|dramatic|major|critical), overlap*, footer, tooltip
    """,
    "affected": """
        # ~2 {people}, (all|every|entire|whole|complete) ~3 {people}, (all|entire|whole|complete|every) ~2 {unit},
        everyone, everybody, nobody, noone, anybody, anyone ~1 here, no one,
        (none|all|some|most|many|half|several|both) of (us|our|them|my),
        (several|multiple|many|various|most|numerous|dozens|hundreds|thousands) ~2 {people}, our {people}, across ~2
        {unit}, for anyone, companywide, company wide, (organisation|organization) wide, our ~1 {unit} ~1
        (cannot|is|are|unable|have|has|lost), (colleagues|others|coworkers) ~1 (too|same|also|have),
        (affected|affects|affecting) ~3 #, # ~2 (affected|impacted), (about|around|roughly|over|all) #
    """,
    "revenue_loss": """
        (losing|lose|loses) ~4
        (orders|order|sales|money|revenue|customers|clients|business|bookings|usd|eur|dollars|euros|thousands|
        hundreds|deals), (costs|costing) (us|me) ~3 (#|money|thousands|fortune|sales|customers), missed ~2
        (demos|orders|sales|deals|deadline), (nobody|customers|clients|shoppers|guests|visitors|buyers) ~2
        (pay|checkout|buy|order|purchase|book), no one ~2 (pay|checkout|buy|order|purchase|book),
        (customers|clients|shoppers|guests|visitors|buyers|people) ~2 cannot ~2
        (pay|checkout|check|buy|order|purchase|book), lost ~2 (sales|revenue|orders|deals|business|customers),
        (checkout|payments) ~3 (down|fails|failing|broken|failed|declined|stopped),
        (drivers|users|members|tenants|patients|students|guests|visitors|people) ~1 cannot ~2 (pay|buy|order|book)
    """,
    "money": """
        (charged|billed|invoiced|debited|deducted|paid) ~3 (twice|double|again|wrong*|incorrect*|too|extra), double
        (charge*|bill*|payment*), two identical payments, refund*, chargeback*, reimburse*, overcharg*,
        (wrong|incorrect|duplicate|missing|unexpected|disputed|unknown) ~1
        (invoice*|charge*|amount*|bill|payment*|fee|fees|price), dispute ~3 (charge*|payment*|invoice*), (you|they) ~1
        (charged|billed|took|debited), (money|give|want|get) ~2 back, (payment|card|transaction) ~3
        (declined|failed|rejected), credit note
    """,
    "deadline": """
        (by|before|until|till) ~2 {day}, by ~2 (eod|cob|end|month|week), (within|in) ~2 (hour|hours|minutes),
        (due|deadline*) ~2 {day}, (due|deadline) ~2 (is|#|this|next), tonight, deadline*, end of ~1
        (day|month|quarter|year), (go|goes|going) live,
        (presentation|audit|launch|exam|exams|closing|payroll|demo|meeting|election|event) ~4
        (tonight|today|tomorrow|hours|hour|minutes|soon), (starts|start|begins|expires|expire|opens) ~2
        (in|at|today|tomorrow|tonight) ~2 (hours|hour|minutes|#), (starts|start|begins|expires|expire|opens) ~2 {day},
        this (afternoon|evening), by ~1 (afternoon|evening|morning), next ~1 (shift|round|run) starts
    """,
    "workaround": """
        other ~4 (usual|normally), (other|others) ~1 (prints|print|works|work|fine|ok), workaround*, by hand,
        manually, in the meantime, (other|another|different) (browser|computer|device|machine|direction) ~3
        (works|ok|fine|possible), (works|work|fine|ok) ~2 (in|on|with|from|via) ~2
        (browser|chrome|firefox|safari|edge|phone|mobile|computer|web|incognito|desktop),
        (everything|rest|refunds|others|all) ~1 else? (works|prints|fine|ok|work|works), (i|we) can still, still works
    """,
    "question": """
        how (do|can|does|to|would|should|is|are|long|many|much|often), (where|when|which|what|who|why) ~1
        (is|are|do|does|can|will|would|should|did|i|we|happens|time|kind|s), (is|are) (there|it|you|this|that|the),
        (do|does|did) (you|your|it|this|that|the|we|i), (can|could|may|would|will|should)
        (i|we|you|it|your|this|that|the|one|somebody|someone|there), wondering, question*, curious, clarif*, confirm,
        what about, quick one, just checking
    """,
    "request": """
        (please|pls|kindly) ~4
        (check|correct|fix|reset|unlock|restore|refund|send|cancel|remove|delete|update|change|move|activate|
        deactivate|create|grant|block|return|install|order|provide|resend|extend|transfer|close|enable|disable|assign|
        replace|merge|issue|reissue|investigate|help|set|approve|renew|allow|give|make|assist), (can|could|would|will)
        you ~3
        (check|correct|fix|reset|unlock|restore|refund|send|cancel|remove|delete|update|change|move|activate|create|
        grant|block|return|install|provide|resend|extend|close|enable|disable|assign|replace|investigate|help|issue|
        reissue|look), (need|want) ~3 (access|new|replacement|corrected|copy|refund|reset), (need|want) ~2 to be
    """,
    "feature_wish": """
        would ~1 (be|help|love|like) ~1
        (great|nice|helpful|cool|good|useful|lot|handy|amazing|wonderful|ideal|fantastic|perfect), would love ~1
        (to|if|a|an|the), would be ~2 (great|nice|helpful|cool|good|useful|handy|amazing|ideal) ~1 (if|to), feature
        (request|idea|suggestion|wish), enhancement*, (please|could|can|kindly) ~1 you?
        (add|implement|introduce|build|consider|offer|support) ~2
        (a|an|support|option|ability|possibility|more|dark|export|native|for|adding|feature|the), wish, wishlist,
        suggestion*, suggest, (ability|option|possibility) to, any plans, (there|are) ~1 plans, is this planned,
        roadmap, (is|it) planned, (lacks|lacking|miss|need|want|missing) ~2 (feature|functionality|integration),
        (support|integration) (for|with) ~4 please, dark (mode|theme), (idea|proposal) (for|to), i wish, if only,
        feature would, (mode|theme|option|filter|integration|export|shortcut) please, (we|i) would like ~2
        (see|have|able) ~4 (option|feature|ability|integration|field|filter|button|column), would it be possible to
        (add|have|get|include|support), could there be, it would (spare|save|help|make), would (spare|save) (us|me),
        could (you|it|we) ~1 (offer|show|have) ~2 (option|button|way|list|filter), is there any chance, it would help
    """,
    "thanks": """
        thank you ~1 (so|very|to|all), thanks (to|so|a|everyone|all),
        (great|excellent|amazing|fantastic|wonderful|perfect|awesome|superb|brilliant) ~1
        (work|job|support|service|team|help|product|tool|app|experience), (love|loving) (the|your|this|it|how), well
        done, kudos, compliment*, (big|huge|many|special) (thanks|thank), keep up, keep it up, (so|very|really)
        (happy|pleased|impressed|satisfied|grateful), shout out, just wanted to (say|thank), just a note to say, spot
        on, please pass ~3 on, made my day, saved (my|our) day, tell (him|her|them) ~2 (thanks|thank)
    """,
    "no_trouble": """
        no (rush|hurry|urgency), nothing urgent, not urgent, all (is|works) ~1 (fine|good|well|ok), everything
        (is|works) ~1 (fine|well|great|perfectly|good), just (saying|feedback|checking|curious), at your convenience,
        whenever you
    """,
    "recovered": """
        (all|everything|it|system|site|service) ~2 (fine|ok|good|normal|working|back|works) ~1 (now|again), {is} back
        (up|online|again|to), resolved (now|itself|already|since|again|thanks), (is|was|been|has|are|were|now) ~1
        (resolved|solved|fixed|recovered), (is|was) ~3 over, (works|working|fine) (again|now), all (is|good) ~1 fine,
        postmortem, post mortem, writeup, write up, last (night|week|month|year) s? ~1
        (outage|incident|breach|downtime|problem), root cause (analysis|report), (during|after|about|from) ~1
        (last|yesterday|previous|recent|the) ~2 (outage|downtime), (outage|downtime) (last|on|yesterday|in) ~2
        (week|month|year|night), (came|is|are|was|now) ~1 back ~1 (at|since|now|online|up|again|to|after|this), not
        down (any|anymore), no longer down, quick fix, works ~2 again
    """,
    "legal": """
        lawyer*, attorney*, solicitor*, lawsuit, litigation, subpoena, sue, suing, ombudsman, (legal|court)
        (action|steps|proceedings|team|department|counsel|notice|claim|advice), (take|go|see|taking) ~2 court, small
        claims, cease and desist, consumer protection, trading standards, (data protection|supervisory|regulatory) ~1
        authority, regulator, (dispute|report) ~4 (bank|authority|authorities|regulator|police), breach of contract,
        (gdpr|dsar|subject access|erasure|ccpa) request
    """,
    "authority_change": """
        (remove|revoke|disable|delete|deactivate|block|terminate|withdraw|suspend) ~4
        (access|user|employee|account|permissions|rights|licence|license|admin|colleague|login) ~1 (of|from|for),
        (take|remove|revoke) ~2 (all|his|her|their) access, (remove|revoke|disable|deactivate|delete|block) ~3
        (former|ex|old|left) ~1 (employee|user|colleague|admin|staff|owner|member),
        (transfer|change|move|hand|reassign) ~4 (ownership|owner|administrator), (make|grant|give) ~4
        (admin|administrator|owner|superuser|full access|permission*|rights|access),
        (change|update|replace|changed|new|use) ~3 (bank|iban|payout|payee|beneficiary) ~1
        (account|details|data|number|information), new iban, (reset|disable|remove|switch|turn|bypass) ~3
        (2fa|mfa|second|authenticator|two) ~4 (for|of|user|colleague|him|her|his|boss|director|ceo),
        (change|replace|update|reset) ~3 (email|mail|password|phone) ~3 (of|for) ~2
        (colleague|user|owner|boss|ceo|director|him|her|wife|husband|manager|founder), (am|as|is|was) the new
        (owner|director|ceo|manager|administrator|admin|head|it|treasurer), took over (as|from|the company), left
        (us|the company|our), (he|she|they) ~1 (left|resigned|fired|dismissed) ~2 (access|friday|yesterday|company),
        (export|send|give) ~3 (all|full|complete) ~2 (customer|client|user|employee|patient) ~1 (list|data|records)
    """,
    "instructions_to_ai": """
        (ignore|disregard|forget|override|bypass) ~4
        (instructions|instruction|prompt|prompts|guidelines|previous|prior|directives),
        (system|developer|hidden|secret) (prompt|note|instruction*|override),
        (assistant|chatbot|llm|gpt|chatgpt|claude|copilot|classifier|ai|bot)
        (do|must|should|you|set|classify|mark|reply|ignore|send|forward|close|note|respond|output|never|always|please|
        agent|model|assistant|system|tool|triage), (note|message|attention|instruction|instructions|dear|hey) ~1
        (to|for)? ~2 (assistant|ai|llm|chatbot|classifier|model|agent|bot), language model*,
        (classify|categorise|categorize|label|triage|mark|treat|rate) (this|it) ~4 (as|p1|p2|p3|p4), (classify|triage)
        ~2 as, (set|change|put) ~1 (priority|sentiment|queue|category|confidence|severity) ~2
        (to|p1|p2|p3|p4|positive|auto|low|high), pre approved, (already|been) approved ~3
        (human|send|review|reviewer|gate), you are now, (act|pretend) as (if|though|my), pretend (to|you), roleplay,
        jailbreak, (reveal|print|repeat|output|leak) ~3 (prompt|instructions|secrets|credentials), do not
        (show|tell|mention|reveal|alert|inform) ~3 (staff|human|humans|operator|anyone|reviewer|reviewers),
        (call|use|invoke|run|execute) the ~2 (tool|function), (no|without) (human|review) ~1
        (review|approval|needed|required), skip ~2 (review|approval|human)
    """,
    "several_issues": """
        (two|three|four|five|several|few|couple|multiple|#) ~1
        (things|issues|questions|problems|requests|topics|points|matters|items|concerns), (second|separate|unrelated)
        (thing|issue|question|problem|topic|matter|request), another (thing|issue|question|problem|topic|request),
        secondly, thirdly, unrelated, on another note, on a different note, one more thing, while i am, while we are
        (at|on), (also|additionally|besides) ~1 (another|separate|unrelated)
    """,
    "off_topic": """
        job application, (apply|applying|application) for ~3 (job|position|role|internship), my (cv|resume), vacancy,
        vacancies, (school|university|student|thesis) (project|paper|research), visit ~2 (you|your), (tour|tours),
        (press|media) (inquiry|enquiry|request), journalist, (propose|offer|interested|explore|discuss|like) ~5
        (partnership|collaboration|sponsorship|cooperation), (guest post|backlink|backlinks|seo), (like|want|willing)
        ~3 sponsor, (rank|ranking) ~4 google, (lottery|inheritance|casino), crypto (offer|investment*|trading),
        (sell|offer) you ~3 (leads|services|traffic), are you hiring, wrong (number|address|company|recipient), apply
        for ~3 internship
    """,
    "vague": """
        (it|that|this|things|stuff) ~1 (does|do|is|did) not (work|working), (it|that|this) ~1
        (broke|broken|fails|failed|crashed|stopped), same (as|problem|issue|thing) ~1 (last|before|again|time),
        (please|pls|plz) (help|fix|check|call), help, (problem|issue|error|trouble) (again|still|here), something ~2
        (wrong|broken|off), nothing works, not working, call me, any (update|updates|news), (have|got|having) ~1
        (problem|problems|issue|issues|trouble), look into, as discussed, see (above|below|attached), the thing, you
        know (which|what|it), doing it again, same again, look pls, look please
    """,
    "hypothetical": """
        what (happens|if), (in case|event) of, (prevent|avoid|protect|protects|guard), (worried|afraid|fear)
        (that|about|of), certificat*, questionnaire, training, drill, webinar, whitepaper, soc2, iso27001, pentest,
        compliance, penetration, (policy|procedure|process|plan|documentation|protection|insurance|guide|article)
        (for|against|on|about), (planned|scheduled|announced), simulat*, hypothetical*, suppose, would ~1
        (be|lose|cause|get|my|our|we|i), will (i|we|my|our|it|this), if ~3 (goes|were|was|ever), might, read about
    """,
    "shouting": """
        urgent, urgently, asap, (please|pls) (block|stop|lock) (it|them|this|access|the), phone me, call me,
        immediately, instantly, right now, straight away, as soon as possible, at once, hurry, now please, every
        minute, sos, mayday, (this|it) is ~1 emergency, (is|very|business|extremely|absolutely|mission|so) critical,
        call me ~3 (once|immediately|now)
    """,
}
