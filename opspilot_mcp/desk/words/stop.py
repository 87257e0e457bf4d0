"""Words that name neither a thing nor a symptom, in four languages: a text of these alone says too little."""

from opspilot_mcp.desk.wording import word_set

STOP_WORDS = word_set(
    """
    a again aide algo am an and are as at auf avec ayuda be been best bitte bonjour buenos but by can ce cela
    con could danke das de dear del der des dias did die do does doing du ein eine el en encore es est esto et
    etwas fix fonctionne for from funciona funktioniert fur geht gracias guten had hallo has have he hello help
    hey hi hilfe hola i ich if im in is issue ist it its je kein know la las last le les look looks los marche
    may me mein merci mi mit mon my ne nicht no nosotros not notre nous nuestro o oder of on one or otra ou our
    pas please pls plz por pour problem problema probleme regards same she sie sind so somebody someone
    something son sont still tag thank thanks that the there these they thing things this those thx time to un
    una und une unser us vez von vous war was we were which wieder will wir with work working works would y yo
    you your zu
    """
)
