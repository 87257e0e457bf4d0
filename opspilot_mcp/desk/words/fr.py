"""French: what states a fact, names a subject, shows a mood. Notation: `desk/wording.py`; accents are folded."""

GROUPS: dict[str, str] = {
    "service": """
        site plateforme service services systeme systemes serveur serveurs portail production reseau internet tout
        application appli boutique telephonie messagerie vpn base logiciel intranet cloud api wifi caisse caisses
        outil
    """,
    "est": """
        est sont etait reste semble completement totalement entierement encore toujours
    """,
    "donnees": """
        donnees fichiers documents projets projet contacts dossiers dossier base historique sauvegarde courriels mails
        notes photos images tableaux mesures commandes messages reservations archives tout travail clients factures
        rendez
    """,
    "perdu": """
        perdu perdue perdus perdues disparu disparue disparus disparues efface effacee effaces effacees supprime
        supprimee supprimes supprimees ecrase ecrasee ecrasees detruit detruites detruits corrompu corrompues
        corrompus
    """,
    "autre": """
        autre autres tiers inconnu inconnus
    """,
    "tiers": """
        client clients cliente societe societes entreprise entreprises utilisateur utilisateurs patient patients
        personne personnes salarie salaries collegue famille compte
    """,
    "gens": """
        utilisateurs utilisateur personnes employes salaries collegues clients membres agences postes eleves magasins
        collaborateurs medecins patients enseignants sites bureaux caisses infirmieres chauffeurs licences
    """,
    "unite": """
        equipe entreprise societe service bureau agence magasin usine ecole hopital batiment departement etablissement
        cabinet organisation atelier direction site clinique
    """,
    "jour": """
        ce demain midi soir lundi mardi mercredi jeudi vendredi samedi dimanche aujourd
    """,
}

FACTS: dict[str, str] = {
    "outage": """
        {service} ~2 {est} ~3
        (inaccessible|inaccessibles|indisponible|indisponibles|injoignable|injoignables|down|tombe|tombee|tombes|mort|
        hs|coupe|coupee), {service} (inaccessible|indisponible|injoignable|down|hs), {service} ~5 en panne, {service}
        ~4 hors (service|ligne), panne (totale|generale|complete|majeure|mondiale|de), plus rien ne
        (marche|fonctionne|repond|charge|passe|s), rien ne (marche|fonctionne|repond|charge) ~1 plus, plus personne
        ne, personne ~2 ne (peut|arrive|parvient|reussit) ~6 (connecter|acceder|travailler|entrer|ouvrir|utiliser),
        tout est (bloque|plante|arrete|mort), (production|activite|entreprise|usine) ~3
        (arret|arretee|paralysee|bloquee), (tous|toutes) ~5 (peuvent|arrivent|parviennent) ~1 (plus|pas) ~5
        (connecter|acceder|travailler), (toutes|chaque) ~1 (pages|page|requetes) ~5
        (500|502|503|504|erreur|blanche|blanches), aucun ~3 (acceder|connecter|travailler), (aucun|aucune) ~8
        (connecter|acceder|travailler|encaisser|vendre|ouvrir|utiliser), plus (aucun|aucune|personne) ~8
        (connecter|acceder|travailler|encaisser|vendre|peut|arrive), (pouvons|pouvoir) plus ~1
        (travailler|encaisser|vendre|facturer), (magasins|agences|caisses|bureaux|sites|usine) ~4
        (arret|bloques|bloquees|bloque|fermes|ligne), completement (bloques|arretes|bloque|arrete|down)
    """,
    "security": """
        (fuite|violation|vol|exfiltration) ~1 (de|d) ~1 (donnees|mot|mots|identite|compte|informations|identifiants),
        (compte|site|serveur|boite|messagerie|systeme) ~4 (pirate|piratee|hacke|hackee|compromis|compromise|usurpe),
        piratage*, pirates, pirate, piratee, rancongiciel*, ransomware, hameconnage, cyberattaque*, cheval de troie,
        logiciel malveillant, (acces|connexion|connexions|transaction|prelevement|operation) ~2
        (autorise|autorisee|autorisees|suspecte*|suspect|frauduleu*|inconnu*|inhabituel*), quelqu un ~4
        (connecte|accede|change|modifie|vole|utilise|pris|pirate|entre|reinitialise), intrusion*,
        (voir|vois|voit|voyons|acceder|affiche*|recu|recois|consulter|apparaissent) ~6 {autre} ~1 {tiers},
        (donnees|factures|facture|contacts|dossiers|documents|messages|noms|adresses|coordonnees) ~3 {autre} ~1
        {tiers}, (donnees|mots|mot|identifiants|fichiers|cle|cles) ~5
        (exposes|exposees|exposee|expose|publics|publiques|vole|voles|volees|fuite|fuites|accessibles|visibles),
        (ordinateur|portable|telephone|tablette|badge) ~3 vole, faille (de|critique), ce n est pas moi, ce n etait pas
        moi, je n ai (pas|jamais) (demande|fait|effectue|autorise), usurpation, (ancien|ancienne|ex) ~1
        (salarie|salariee|employe|employee|collegue) ~4 (toujours|encore) ~2 acces, envoye* ~3 mauvais*
        (destinataire|client|personne|patient), (connexions|connexion|sessions|session) ~4 (depuis|de|venant) ~3
        (etranger|russie|chine|pays|inconnu*|ville), n ai rien demande, jamais (alle|allee), je ne reconnais pas,
        rancon, bitcoin, (codes|code|virement|virements|paiement|paiements) ~6 (pas|jamais)
        (demande|demandes|autorise|autorises|effectue)
    """,
    "data_loss": """
        perte ~1 (de|des|d) ~2 {donnees}, perdu ~2 (toutes|tous|nos|mes|les|l) ~2 {donnees}, {donnees} ~5 {perdu},
        (toutes|tous) ~2 {donnees} ~3 (manquent|vides|vide), (efface|supprime|ecrase) ~3 (nos|mes|toutes|tous|les) ~2
        {donnees}, aucune (sauvegarde|copie), pas (de|d) ~1 (sauvegarde|copie), (sauvegarde|sauvegardes) ~3
        (vide|vides|echoue|corrompue|illisible), tout (a disparu|est perdu), supprime* ~2
        (erreur|accidentellement|megarde), (impossible|pas) ~3 (restaurer|recuperer) ~3 {donnees},
        (disparu|perdu|efface|supprime) ~3 (toutes|tous|nos|mes) ~2 {donnees}, (dossier|projet|boite|base|archive) ~3
        vide, plus (aucune|aucun) trace
    """,
    "broken": """
        (ne|n) ~2
        (marche|fonctionne|fonctionnent|charge|chargent|repond|demarre|ouvre|affiche|synchronise|s|se|envoie|imprime|
        arrive|arrivons|peux|peut|peuvent|pouvons|parviens|parvenons|recevons|recois|arrivent|passe|apparait) ~1
        (pas|plus|rien|jamais|aucun), (marche|fonctionne|repond|charge) (pas|plus), impossible (de|d), erreur*, bug,
        bugs, bogue*, panne, plantage*, dysfonctionnement*, plante, plantent, bloque, bloquee, bloques, fige, figee,
        casse, cassee, defaillant*, verrouille*, (tres|trop|extremement) (lent|lente|lents|lentes), ralenti*, page
        (blanche|vide), (souci|probleme|problemes) (avec|de|depuis|lors), en echec, echoue*,
        (mauvais|mauvaises|fausses) (valeurs|chiffres|donnees|totaux), n est (pas|plus)
        (possible|accessible|disponible|reconnu|visible|affiche), (est|sont|reste|restent) ~1 vide, (manque|manquent)
    """,
    "cosmetic": """
        coquille*, faute (de|d), flou, floue, decale*, cosmetique*, petit (bug|souci|probleme|detail|defaut), pas ~1
        (grave|urgent|bloquant), (mauvaise|autre) couleur, mal aligne*, coupe* (a|sur)
    """,
    "affected": """
        # ~2 {gens}, (tous|toutes|toute|tout) ~2 {gens}, (toute|tout|ensemble) ~2 {unite}, personne ne, chacun, tous,
        tout le monde, (plusieurs|nombreux|certains|centaines|dizaines) ~2 {gens}, nos {gens}, (tous|toutes) ~2
        {unite}, notre ~1 {unite}, (concerne|touche|touches) ~3 #
    """,
    "revenue_loss": """
        (perdons|perd|perdre|perdu) ~4 (ventes|argent|clients|commandes|euros|chiffre|revenus|#), perte (financiere|de
        chiffre), (clients|personne) ~4 (payer|commander|acheter|regler), coute ~3 (#|cher|euros)
    """,
    "money": """
        rembourse*, trop percu, surfactur*, (preleve|prelevee|facture|facturee|debite|debitee|debites) ~3
        (deux|double|tort|encore|fois), double (prelevement|facturation|paiement|debit), (montant|facture) ~2
        (errone|erronee|incorrect|incorrecte|faux|fausse), note de credit, un avoir
    """,
    "deadline": """
        avant ~2 {jour}, avant (la fin|fin|le|#), delai, delais, echeance, date limite, ce soir, demain matin, d ici
        ~3 (demain|ce|lundi|vendredi|fin|soir|#), au plus tard, dans ~1 (une|deux|#) (heure|heures|minutes)
    """,
    "workaround": """
        contournement, manuellement, entretemps, a la main, en attendant, solution (provisoire|temporaire), autre
        navigateur, (marche|fonctionne) ~2 (sur|avec|depuis) ~2 (navigateur|chrome|firefox|telephone|mobile)
    """,
    "question": """
        (comment|ou|quand|quel|quelle|quels|quelles|pourquoi|combien) ~1
        (faire|puis|peut|est|sont|trouver|dois|je|on|temps|se|y|coute), est ce, y a t, peut on,
        (pouvez|pourriez|avez|proposez|acceptez) vous, savoir si, question*, serait il, puis je
    """,
    "request": """
        (merci de|veuillez|prie de|pouvez vous|pourriez vous|svp) ~3
        (verifier|corriger|reinitialiser|debloquer|deverrouiller|restaurer|rembourser|envoyer|annuler|supprimer|
        mettre|changer|modifier|activer|desactiver|creer|bloquer|renvoyer|aider|resilier|retablir)
    """,
    "feature_wish": """
        souhait*, suggestion*, proposition*, amelioration*, (serait|serais) ~4
        (bien|utile|genial|pratique|super|formidable|top|ideal), (prevu|prevue|prevoyez), (ajouter|integrer|proposer)
        ~4 (option|fonction*|possibilite|mode|export|prise|langue), mode sombre, (nous aimerions|j aimerais|on
        aimerait), (nouvelle|nouvelles) fonctionnalite*, feuille de route, serait il possible (d|de) ~1
        (ajouter|avoir|prevoir|integrer|permettre|proposer)
    """,
    "thanks": """
        merci ~1 (a|infiniment|encore|mille), remerci*, bravo, felicitation*, (excellent|super|genial|beau)
        (travail|service|support|equipe), grand merci, (tres|vraiment) (satisfait|contente|content|satisfaite)
    """,
    "no_trouble": """
        pas urgent, aucune urgence, rien d urgent, tout (va|fonctionne) bien, rien d autre, sans urgence, juste un
        (petit)? mot
    """,
    "recovered": """
        (est|a ete|sont) ~1 (resolu|resolue|repare|reparee|retabli|retablie|corrige|regle|reglee), remarche,
        refonctionne, a regle, (fonctionne|marche) ~1 (nouveau|maintenant), tout est ~1 (revenu|rentre|ordre), panne
        (terminee|d hier|de la semaine)
    """,
    "legal": """
        avocat*, tribunal, juridique*, justice, plainte, huissier, cnil, contentieux, mise en demeure, poursuites,
        assigner, protection des consommateurs, droit d acces
    """,
    "authority_change": """
        (supprimer|retirer|desactiver|revoquer|bloquer|couper) ~4 (acces|compte|droits|utilisateur) ~1 (de|d|du|a),
        (transferer|changer|modifier) ~3 (proprietaire|propriete|administrateur|rib|iban|coordonnees bancaires),
        (nouveau|nouvel|nouveaux) (rib|iban|proprietaire|administrateur|gerant|directeur|titulaire), donner ~4
        (acces|droits), ancien* (salarie*|employe*|collegue*), (quitte|quittee) ~1 (entreprise|societe|notre),
        (droits|acces) ~1 (administrateur|admin)
    """,
    "instructions_to_ai": """
        (ignore|ignorez|ignorer|oublie|oubliez) ~4 (instructions|consignes|regles|precedentes|directives),
        (note|message|consigne) ~3 (assistant|ia|modele|robot), (assistant|ia)
        (doit|merci|classe|classez|reponds|repondez|ignore), instruction* systeme, prompt systeme
    """,
    "several_issues": """
        (deux|trois|quatre|plusieurs|quelques) ~1 (choses|questions|problemes|points|sujets|demandes|soucis),
        deuxiemement, troisiemement, par ailleurs, autre (chose|question|sujet|probleme), d autre part, de plus
    """,
    "off_topic": """
        (un|de|en) stage, candidature, curriculum, journaliste, (projet scolaire|memoire de),
        (partenariat|sponsoring), visite ~2 (locaux|entreprise|bureaux), referencement
    """,
    "vague": """
        (ca|cela) ne (marche|fonctionne) (pas|plus), (aide|aidez), (encore|toujours) (le|un|ce) ~1 (probleme|souci),
        meme (probleme|souci|chose), comme (la derniere|d habitude), un probleme, rappelez moi
    """,
    "hypothetical": """
        que se passe, en cas (de|d), eviter, proteger, prevenir, formation, certifi*, questionnaire, planifie*,
        maintenance prevue, si jamais, risque*, pourrait, pourraient, serait, seront, sera
    """,
    "shouting": """
        urgent, urgente, urgence, urgemment, immediatement, critique, vite, au plus vite, des que possible, tout de
        suite, sans delai
    """,
}

TAGS: dict[str, str] = {
    "login": "connexion, connecter, identification, se connecter",
    "password": "mot de passe, mots de passe, identifiant*",
    "mfa": "double authentification, code de verification",
    "permissions": "droits, autorisation*, permission*",
    "invoice": "facture*, facturation",
    "refund": "rembours*, avoir",
    "payment": "paiement*, prelevement*, virement*, carte bancaire, carte",
    "subscription": "abonnement*, licence*, renouvellement*, resilier, resiliation, forfait",
    "export": "export*, telecharg*",
    "import": "import, importer, importation",
    "integration": "synchronis*, connecteur*, integration*",
    "notification": "notification*, rappel*",
    "report": "rapport*, tableau de bord, statistique*",
    "search": "recherche",
    "performance": "lent, lente, lenteur*, ralenti*",
    "printing": "imprim*, impression*",
    "network": "reseau",
    "crash": "plante*, plantage*",
    "error": "erreur*",
    "regression": "depuis ~3 (mise|version), apres ~3 (mise|version)",
    "calendar": "calendrier*, agenda*, rendez vous",
    "language": "langue*, traduction*",
    "privacy": "rgpd, donnees personnelles, confidentialite",
    "cancellation": "resili*, annul*",
    "email": "courriel*, messagerie, boite mail",
    "hardware": "ecran*, clavier*, souris, batterie*",
    "how_to": "comment (faire|puis|on), mode d emploi, documentation",
}

CATEGORIES: dict[str, str] = {
    "billing": """
        facture*, facturation, paiement*, payer, paye, prelevement*, preleve*, remboursement*, rembours*, prix,
        tarif*, abonnement*, resiliation, devis, tva, montant, carte bancaire, virement, renouvellement, licences,
        debite*, euros, avoir
    """,
    "technical": """
        erreur*, bug*, panne, plante*, ne ~2 (marche|fonctionne|charge|repond|affiche|ouvre) ~1 (pas|plus), lent,
        lente, serveur, site, synchronis*, export*, import*, imprim*, mise a jour, version, page, ecran, inaccessible,
        indisponible, bloque*, application, reseau, fichiers, donnees perdues, perte de donnees, disparu*, rapport,
        recherche, comment faire, parametre*, (autre|autres) ~1
        (client|clients|societe|entreprise|patient|patients|utilisateur)
    """,
    "account": """
        connexion, connecter, mot de passe, compte, identifiant*, verrouille*, acces, droits, utilisateur, profil,
        double authentification, inscription, invitation, supprimer ~3 (compte|acces|utilisateur), nouveau
        (collegue|salarie|utilisateur), code de verification, adresse mail
    """,
    "feature_request": """
        suggestion*, souhait*, souhaiterions, souhaiterais, amelioration*, serait ~3
        (bien|utile|genial|pratique|possible|super), ajouter, fonctionnalite*, prevu, mode sombre, aimerions,
        aimerais, proposition, idee
    """,
    "other": """
        merci a, remerci*, stage, emploi, candidature, presse, partenariat, visite, bonne journee, felicitations,
        enquete, newsletter
    """,
}

MOODS: dict[str, str] = {
    "positive": """
        merci beaucoup, remerci*, bravo, genial*, excellent*, parfait*, super, ravi*, satisfait*, content*,
        formidable, adore*, merci a, felicitations, merveilleux
    """,
    "negative": """
        inacceptable*, decu*, deception, furieu*, honteu*, scandaleu*, enerv*, agac*, nul, nulle, catastroph*, marre,
        (troisieme|quatrieme|deuxieme) fois, (aucune|pas de|sans) reponse, frustr*, mecontent*, penible, avocat*,
        lamentable, inadmissible, ras le bol, plainte, toujours pas, ridicule, arnaque
    """,
    "irony": "bravo, super la, felicitations, quelle reussite",
}
