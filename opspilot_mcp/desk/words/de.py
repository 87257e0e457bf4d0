"""German: what states a fact, names a subject, shows a mood. Notation: `desk/wording.py`; accents are folded."""

GROUPS: dict[str, str] = {
    "seite": """
        seite webseite website plattform dienst dienste system systeme server portal produktion netzwerk internet
        alles datenbank anwendung app shop webshop onlineshop telefonanlage telefon telefone mailserver vpn wlan
        software programm dashboard service intranet cloud kassensystem warenwirtschaft crm erp
    """,
    "daten": """
        daten datensatze dateien dokumente projekte projekt kontakte eintrage datenbank sicherung mails notizen fotos
        bilder ordner tabellen messwerte termine buchungen auftrage bestellungen nachrichten alles archiv unterlagen
        akten tickets arbeit kundendaten adressen verlauf historie aufzeichnungen
    """,
    "weg": """
        weg verloren verschwunden geloscht uberschrieben zerstort beschadigt vernichtet futsch gelehrt
    """,
    "fremd": """
        andere anderen anderer anderes anderem fremde fremden fremder fremdes fremdem
    """,
    "partei": """
        kunde kunden kundin firma firmen unternehmen unternehmens nutzer nutzers benutzer person personen patient
        patienten mandant mandanten kollegen mitarbeiter mitarbeiters leute familie konto kontos account
    """,
    "leute": """
        nutzer benutzer anwender leute personen mitarbeiter mitarbeitern mitarbeitende mitarbeitenden kollegen kunden
        mitglieder filialen standorte standorten schuler lehrer arbeitsplatze teams nutzerinnen kolleginnen arzte
        kassen patienten fahrer gerate rechner lizenzen kundinnen anwendern nutzern
    """,
    "einheit": """
        abteilung firma unternehmen team buro gebaude schule klinik filiale standort werk lager belegschaft betrieb
        haus vertrieb buchhaltung praxis kanzlei organisation verwaltung gruppe
    """,
    "tag": """
        heute morgen mittag abend montag dienstag mittwoch donnerstag freitag samstag sonntag
    """,
}

FACTS: dict[str, str] = {
    "outage": """
        {seite} ~5 (ausgefallen|offline|unerreichbar|tot|lahmgelegt|zusammengebrochen), {seite} ~3 (ist|sind) ~3 down,
        {seite} ~5 nicht ~1 erreichbar, {seite} ~4 nicht verfugbar, (nicht|nirgends) erreichbar ~2
        (seite|system|portal), {seite} ~2 steht ~1 still, totalausfall, komplettausfall, systemausfall, serverausfall,
        stromausfall, {seite} fallt ~3 aus, (kompletter|vollstandiger|massiver|totaler|grosser) ausfall, ausfall
        (seit|der|des|aller|in|bei), grosstorung, nichts (geht|funktioniert|lauft|ladt) ~1 mehr, nichts mehr
        (geht|funktioniert|lauft), (geht|funktioniert|lauft|ladt) ~3 (gar|uberhaupt|absolut)? nichts ~1 mehr,
        (gar|uberhaupt) nichts ~1 mehr, (produktion|betrieb|band|lager) ~2 (steht|stillstand|still), (niemand|keiner)
        ~1 kann ~6 (arbeiten|anmelden|einloggen|zugreifen|rein|nutzen|verbinden), kann ~2 (niemand|keiner) ~6
        (arbeiten|anmelden|einloggen|zugreifen|nutzen), konnen ~4 (alle|alles) ~4 nicht ~3
        (anmelden|einloggen|arbeiten|zugreifen), (alle|samtliche|ganze|gesamte) ~5 (konnen|kann) ~4 nicht ~3
        (anmelden|einloggen|arbeiten|zugreifen), (alle|jede) ~2 (seiten|seite|anfragen) ~5
        (500|502|503|504|fehler|leer|weiss), (keiner|niemand|keine) ~6 (ins|rein|aufs) ~2 {seite},
        (kommt|kommen|komme) ~3 (keiner|niemand|niemanden) ~6 (rein), (kommt|kommen) ~2 (keiner|niemand) ~6 {seite},
        (stehen|steht|liegt|liegen) ~3 (still|lahm), (keine|keiner|niemand|kein) ~4
        (filiale|filialen|kasse|kassen|standort|mitarbeiter|kunde) ~5
        (mehr|arbeiten|verkaufen|kassieren|zugreifen|anmelden), (konnen|kann) ~3 nicht ~1
        (arbeiten|verkaufen|kassieren|weiterarbeiten), komplett (weg|down|tot|ausgefallen|still), {seite} ~7 nicht
        mehr (aufrufbar|erreichbar|verfugbar|zuganglich), nicht (aufrufbar|erreichbar) ~6 (alle|allen|kunden|uns)
    """,
    "security": """
        datenleck, datenpanne, sicherheitsvorfall*, sicherheitslucke*, datenschutzverletzung*, datenschutzvorfall*,
        gehackt*, hackerangriff*, cyberangriff*, hacker*, schadsoftware, ransomware, trojaner,
        verschlusselungstrojaner, erpressungs*, (konto|account|postfach|server|webseite|system) ~4
        (gehackt|kompromittiert|gekapert|ubernommen), (unbefugt*|unberechtigt*) ~1
        (zugriff*|zugang|person*|dritte*|anmeldung*|abbuchung*), (jemand|unbekannt*|fremder|hacker|angreifer) ~6
        (angemeldet|eingeloggt|zugegriffen|geandert|zugriff|gestohlen|anmeldet|einloggt), {fremd} ~1 {partei} ~4
        (sehen|einsehen|angezeigt|daten|sichtbar|rechnung*|kontakt*|namen|unterlagen|nachrichten|adressen|akten),
        (sehe|sehen|sieht|einsehen|angezeigt|erhalten|bekommen) ~5
        (daten|rechnung*|kontakte|kunden|dokumente|nachrichten|namen|akten|adressen|befunde|gehaltsabrechnung*) ~3
        {fremd}, (daten|rechnung*|kontakte|dokumente|nachrichten|namen|akten|adressen) ~1 {fremd} ~1 {partei},
        (daten|kundendaten|passworter|zugangsdaten|personaldaten|patientendaten|gehalter|gehaltsdaten|
        mitarbeiterdaten) ~5 (offentlich|einsehbar|geleakt|gestohlen|abgeflossen|sichtbar|zuganglich),
        (passwort|laptop|notebook|handy|diensthandy|zugangsdaten|rechner|usb) ~4
        (gestohlen|geklaut|entwendet|abhanden), das war ich nicht, das waren wir nicht, (war|waren) (nicht|wir nicht)
        (ich|wir), (verdachtig*|unbekannte|unbekannten|fremde|fremden) ~1
        (anmeldung*|login*|aktivitat*|zugriff*|gerat*), (phishing|betrugs*) ~2
        (mail*|link|nachricht*|geklickt|eingegeben), (ich|wir) ~4 nicht
        (veranlasst|gemacht|beauftragt|autorisiert|bestellt), identitatsdiebstahl, an (falschen|falsche)
        (empfanger|kunden|person|adresse), (ehemalige*|ausgeschiedene*) ~2 (noch|weiterhin) ~2 zugriff,
        (anmeldungen|sitzungen|zugriffe|login|logins) ~4 (aus|von) ~2 (ausland|russland|china|unbekannt*|fremden), nie
        (dort|da) gewesen, (benutzer|nutzer|konto|admin) ~5 (keiner|niemand) ~3 kennt, (den|die|das) (keiner|niemand)
        ~3 kennt, losegeld*, bitcoin, nicht (angefordert|veranlasst|beauftragt|genehmigt)
    """,
    "data_loss": """
        datenverlust*, {daten} ~5 {weg}, (alle|samtliche|#) ~2 {daten} ~4 (fehlen|leer),
        (geloscht|verloren|loschte|uberschrieben) ~3 (alle|unsere|samtliche) ~1 {daten}, (kein|keine|keinerlei) ~1
        (backup|sicherung|kopie|datensicherung|sicherungskopie), (sicherung|backup|datensicherung) ~3
        (leer|fehlgeschlagen|defekt|unlesbar), versehentlich ~4 geloscht, {daten} ~3 nicht ~1
        (wiederherstellen|wiederhergestellt|wiederherstellbar), (verschwunden|geloscht|weg|verloren) (sind|ist) ~3
        {daten}, (fehlen|fehlt) ~3 (alle|samtliche|#) ~2 {daten}, {daten} ~4 nicht mehr (da|auffindbar|vorhanden),
        (ordner|projekt|postfach|archiv|datenbank) ~3 leer
    """,
    "broken": """
        (funktioniert|funktionieren|geht|gehen|lauft|laufen|klappt|ladt|laden|offnet|startet|reagiert|druckt|
        synchronisiert|speichert|erscheint|kommt|kommen|verschickt|sendet|startet|lasst) ~4
        (nicht|nichts|keine|nie|nur), (kann|konnen|konnte|lasst|lassen|kein) ~7 (nicht|nichts|keine|keinen|kein) ~4
        (anmelden|einloggen|offnen|speichern|senden|exportieren|importieren|hochladen|herunterladen|drucken|erstellen|
        bearbeiten|verbinden|zugreifen|aufrufen|buchen|bezahlen|sehen|finden|nutzen|starten|anlegen|abrufen|versenden|
        einsehen|andern|mehr|abschliessen|installieren|erreichen), fehler*, absturz*, abgesturzt, defekt*, kaputt,
        gesperrt, ausgesperrt, storung*, gestort, hangt, hangen, (sehr|zu|extrem|so) langsam, (sturzt|sturzen) ~4 ab,
        eingefroren, bricht ~4 ab, blockiert, bleibt ~4 (leer|hangen|stehen|weiss|schwarz), geht nicht, problem
        (mit|beim|seit), probleme (mit|beim|seit), (falsche|doppelte|fehlende) ~1
        (werte|zahlen|daten|ergebnisse|summen), (funktioniert|funktionieren|geht|gehen|lauft|laufen|klappt) ~9 nicht
        ~1 mehr, (funktioniert|funktionieren|geht|lauft) ~7 nicht, (ist|sind|bleibt|bleiben) ~3 leer, (kann|konnen) ~8
        nicht ~2 (einlesen|offnen|lesen|weiterarbeiten|benutzen), landet ~3 wieder, (fehlt|fehlen),
        zeituberschreitung*, timeout*, leeres (blatt|fenster), (leere|weisse) (seite|seiten)
    """,
    "cosmetic": """
        tippfehler*, rechtschreibfehler*, schreibfehler*, unscharf*, verschwommen*, verschoben, schonheitsfehler*,
        abgeschnitten*, (kleiner|kleines|kleine|kleinen) (fehler|problem|sache|detail|bug), nicht ~1
        (schlimm|dringend|wild|eilig|kritisch), (falsche|andere) farbe
    """,
    "affected": """
        # ~2 {leute}, (alle|samtliche|ganze|gesamte|ganzen) ~2 {leute}, (alle|ganze|gesamte|ganzen|gesamten|ganzes) ~1
        {einheit}, niemand, keiner, jeder, alle, allen, bei uns allen, (mehrere|viele|einige|dutzende|hunderte) ~1
        {leute}, (unsere|unseren|unserer) {leute}, unser ~1 {einheit}, firmenweit, betroffen*, (alle|samtliche) #
    """,
    "revenue_loss": """
        (verlieren|verliere|verloren|entgeht|entgehen) ~5 (umsatz|geld|kunden|bestellungen|auftrage|euro|umsatze),
        umsatzausfall, umsatzverlust, (kunden|niemand|kaufer|gaste) ~5 (nicht|nichts)? ~1
        (bezahlen|kaufen|zahlen|auschecken), kostet uns ~4 (#|geld|euro)
    """,
    "money": """
        (doppelt|zweimal|falsch|zuviel|unrecht|mehrfach) ~3
        (abgebucht|berechnet|belastet|verrechnet|bezahlt|abgerechnet|eingezogen), zu viel
        (abgebucht|berechnet|bezahlt), ruckerstattung*, erstattung*, erstatten, gutschrift*, rechnungskorrektur,
        mahnung*, ruckzahlung*, (falsche|falscher) ~1 (rechnung|betrag), ruckbuchung
    """,
    "deadline": """
        bis ~3 {tag}, bis ~2 (ende|monatsende|#), noch heute, frist*, stichtag, spatestens, abgabetermin, in ~1
        (einer|zwei|drei|#) (stunde|stunden|tagen|minuten), monatsabschluss, heute (abend|nachmittag|noch)
    """,
    "workaround": """
        ubergangslosung, notlosung, umgehung*, vorubergehend, zwischenzeitlich, behelfen, von hand, in der
        zwischenzeit, manuell, im anderen browser, mit anderem browser, (am|auf) ~2 (handy|rechner|browser)
        (geht|funktioniert)
    """,
    "question": """
        (wie|wo|wann|was|welche|welcher|welches|warum|wer|wieso|wieviel) ~1
        (kann|konnen|ist|sind|muss|funktioniert|geht|wird|werden|lange|viel|viele|oft|ich|wir|man|gibt|kostet),
        (gibt|kann|konnen|ist|wird|konnten|darf|haben|bieten|besteht|ware) (es|ich|man|wir|sie|das|die|der), frage*,
        mochte ~2 wissen, wusste gern
    """,
    "request": """
        (bitte|bitten) ~6
        (prufen|korrigieren|zurucksetzen|entsperren|wiederherstellen|erstatten|schicken|senden|zusenden|stornieren|
        kundigen|entfernen|loschen|aktualisieren|andern|freischalten|einrichten|sperren|installieren|umstellen|hilfe|
        beheben|anlegen|zuruckzahlen), (konnen|konnten|konntet) (sie|ihr) ~8
        (prufen|korrigieren|zurucksetzen|entsperren|wiederherstellen|erstatten|schicken|senden|zusenden|entfernen|
        loschen|aktualisieren|andern|freischalten|einrichten|sperren|helfen|beheben)
    """,
    "feature_wish": """
        wunsch, wunschen, wunsche, funktionswunsch, verbesserungsvorschlag*, vorschlag*, anregung*, (ware|waere) ~4
        (schon|toll|hilfreich|praktisch|super|gut|prima|ideal), (brauchten|wunschten), gibt es ~2 plane,
        (geplant|roadmap|dunkelmodus), (konnten|konnte) ~2 (sie|ihr|man) ~6
        (hinzufugen|einbauen|einfuhren|erganzen|anbieten|integrieren), feature, wurden uns ~3 (freuen|wunschen)
    """,
    "thanks": """
        (danke|dank|dankeschon) ~2 (fur|an|team|hilfe|losung), bedanken,
        (tolle|super|klasse|hervorragende|grossartige|grosses|schnelle) ~1
        (arbeit|support|lob|service|team|hilfe|produkt), lob, begeistert, (sehr|rundum) zufrieden
    """,
    "no_trouble": """
        kein* eile, nicht eilig, nicht dringend, alles (gut|bestens|ok), hat zeit, keine eile, nur
        (feedback|ruckmeldung), lauft alles, alles lauft, kein ausfall
    """,
    "recovered": """
        (lauft|funktioniert|geht|gehen|laufen) ~3 wieder, (ist|sind|wurde|wieder|inzwischen) ~1
        (behoben|gelost|erreichbar), wieder (online|da), alles ~2 wieder (gut|ok|normal|da), erledigt,
        (ausfall|storung) ~1 (vorbei|vom|von|gestern|letzte*), (letzte|letzten) ~1 (ausfall|storung), wieder
        (erreichbar|verfugbar|online|da|normal), lauft alles, alles lauft ~1 wieder, war gestern, gestern ~2
        (storung|ausfall)
    """,
    "legal": """
        anwalt*, anwalte, rechtsanwalt*, rechtliche*, rechtsweg, klage, verklagen, gericht, gerichtlich*, abmahnung*,
        strafanzeige, anzeige erstatten, verbraucherzentrale, datenschutzbehorde, aufsichtsbehorde, rechtsabteilung,
        schadenersatz*, schadensersatz*, inkasso*, datenschutzauskunft, auskunft ~2 dsgvo
    """,
    "authority_change": """
        (zugang|zugriff|zugriffe|zugange|rechte|benutzer|konto|account|adminrechte|zugriffsrechte) ~6
        (entziehen|entfernen|sperren|loschen|deaktivieren|ubertragen|erteilen|freischalten|geben|einrichten|entzogen),
        (inhaber|inhaberin|eigentumer|admin|administrator|geschaftsfuhrer) ~4
        (andern|ubertragen|wechseln|eintragen|machen|umschreiben), (neue|neuer|geanderte|andere)
        (bankverbindung|iban|kontoverbindung), (bankverbindung|iban|kontoverbindung) ~4
        (andern|geandert|aktualisieren|ersetzen), ausgeschieden*, adminrechte, (hat|haben) ~3 verlassen,
        (ehemalige*|fruhere*|ausgeschiedene*) (mitarbeiter*|kolleg*), neue* (geschaftsfuhrer*|inhaber*|eigentumer*)
    """,
    "instructions_to_ai": """
        (ignoriere|ignorieren|ignoriert|vergiss|vergessen|missachte) ~4
        (anweisung*|vorherige*|vorherigen|bisherige*|obige*|regeln|instruktion*), (hinweis|anweisung|nachricht) ~2
        (assistent*|ki|modell|bot), systemanweisung*, systemprompt*, (ki|assistent|chatbot)
        (bitte|muss|soll|setze|antworte|klassifiziere|stufe), an (die|den) (ki|assistent*|bot|chatbot)
    """,
    "several_issues": """
        (zwei|drei|vier|mehrere|verschiedene|paar) (dinge|anliegen|fragen|probleme|punkte|themen|sachen), zweitens,
        drittens, ausserdem, desweiteren, des weiteren, (noch|weitere) ~1 (frage|sache|problem|anliegen|thema)
    """,
    "off_topic": """
        bewerbung*, praktikum, lebenslauf, stellenangebot*, presseanfrage*, schulprojekt,
        (masterarbeit|bachelorarbeit|umfrage), (besichtigung|fuhrung), kooperation*, suchmaschinenoptimierung
    """,
    "vague": """
        (es|das|nichts) (geht|funktioniert|lauft) ~1 (nicht|mehr), bitte (helfen|hilfe|prufen|anrufen|melden), hilfe,
        (problem|fehler) (wieder|schon), etwas stimmt nicht, (wieder|schon) ~1 (kaputt|problem|dasselbe), wie
        (letztes|immer|zuvor)
    """,
    "hypothetical": """
        was passiert, falls, vermeiden, verhindern, schutz, schutzen, vorbeugen, schulung, zertifi*, geplante*,
        angekundigte*, im falle, wurde, wurden, konnte, fragebogen, richtlinie, werden unsere, wird unser
    """,
    "shouting": """
        dringend*, sofort, eilt, notfall, kritisch, umgehend, schnellstmoglich, schnellstens, unverzuglich, so schnell
        wie moglich, sehr eilig
    """,
}

TAGS: dict[str, str] = {
    "login": "anmelden, anmeldung*, einloggen, login",
    "password": "passwort*, kennwort*, zugangsdaten",
    "mfa": "zwei faktor*, authentifizierung*, bestatigungscode",
    "permissions": "berechtigung*, zugriffsrecht*, rechte, adminrechte",
    "invoice": "rechnung*, oktoberrechnung, mahnung*, quittung*",
    "refund": "erstattung*, ruckerstattung*, gutschrift*",
    "payment": "zahlung*, abgebucht, abbuchung*, uberweisung*, lastschrift*, kreditkarte*, bezahl*",
    "subscription": "abo, abonnement*, lizenz*, kundig*, vertrag*, tarif*, verlanger*",
    "export": "exportier*, herunterlad*",
    "import": "importier*, hochlad*",
    "integration": "schnittstelle*, anbindung*, synchronis*",
    "notification": "benachrichtigung*, erinnerung*",
    "report": "bericht*, auswertung*, statistik*",
    "search": "suche, suchfunktion, suchergebnis*",
    "performance": "langsam*, ladezeit*",
    "printing": "druck*",
    "network": "netzwerk*",
    "crash": "absturz*, abgesturzt, sturzt",
    "error": "fehler*",
    "regression": "seit ~3 (update|version|release), nach ~3 (update|version|aktualisierung)",
    "calendar": "kalender*, termin*",
    "language": "sprache*, sprachpaket*, ubersetzung*",
    "privacy": "datenschutz*, dsgvo",
    "cancellation": "kundig*, stornier*",
    "hardware": "bildschirm*, tastatur*, maus, akku",
    "how_to": "wie (kann|geht|funktioniert), anleitung*",
}

CATEGORIES: dict[str, str] = {
    "billing": """
        rechnung*, oktoberrechnung, zahlung*, zahlen, bezahl*, abgebucht, abbuchung*, mahnung*, preis*, kosten,
        gebuhr*, lizenzen, erstattung*, ruckerstattung*, gutschrift*, abo, abonnement*, vertragsverlangerung, tarif*,
        lastschrift*, kreditkarte*, umsatzsteuer, ust, kundigung, betrag, uberweisung*, angebot*
    """,
    "technical": """
        fehler*, absturz*, abgesturzt, sturzt, kaputt, funktioniert ~3 nicht, geht nicht, geht nichts, storung*,
        ausfall, ausgefallen, langsam*, server, ladt nicht, hangt, schnittstelle, synchronis*, exportier*, importier*,
        druck*, update, version, seite, bildschirm, nicht erreichbar, datenverlust, daten weg, verschwunden, geloscht,
        speichern, netzwerk*, programm, system, (andere|anderen|anderer|fremde|fremder|fremden) ~1
        (firma|firmen|kunden|kunde|mandanten|unternehmen|patienten)
    """,
    "account": """
        anmelden, anmeldung, einloggen, login, passwort*, kennwort, konto, gesperrt, benutzerkonto, benutzername,
        zugang*, zugriff*, berechtigung*, zwei faktor*, authentifizierung*, profil, rechte, mitarbeiter ~3
        (entfernen|loschen|hinzufugen), einladung*, registrier*, neuer (mitarbeiter|benutzer|kollege)
    """,
    "feature_request": """
        wunsch, wunschen, vorschlag*, verbesserungsvorschlag*, anregung*, ware ~3
        (schon|toll|hilfreich|praktisch|super|gut), brauchten, gibt es ~2 plane, geplant, dunkelmodus, feature,
        erweiterung*, sprachpaket, konnten sie ~6 (hinzufugen|einbauen|erganzen|anbieten)
    """,
    "other": """
        danke fur, dank fur, vielen dank an, lob, bewerbung*, praktikum, presse*, partnerschaft*, besuch*, umfrage*,
        newsletter, buro, kooperation, stelle
    """,
}

MOODS: dict[str, str] = {
    "positive": """
        toll*, super, klasse, grossartig*, begeistert, zufrieden, hervorragend*, perfekt, vielen dank fur, danke fur,
        herzlichen dank, freue*, lob, prima, wunderbar*, glucklich
    """,
    "negative": """
        argerlich*, frustrier*, unverschamt*, katastroph*, schlecht*, enttausch*, wutend, inakzeptabel*, nervt,
        nervig, unmoglich, beschwer*, lacherlich, schon wieder, (drittes|viertes|zweites|dritte|vierte|zweite) mal,
        keine (antwort|reaktion|ruckmeldung), anwalt*, unzufrieden, zumutung, frechheit, sauer, unzumutbar
    """,
    "irony": "na toll, bravo, herzlichen gluckwunsch",
}
