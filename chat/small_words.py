"""Words that say nothing of what a sentence is about, in English, German, French, Spanish, Italian and Dutch.

Memories and knowledge gaps compare what is left without them. Other lists look alike and decide something else:
`chat.followups` what a question leans on, `chat.languages` which language a text is in, `knowledge.word_forms` what a
passage need not hold. Each is made for its own rule. Those of `cloneai.local_ai` are a provider's, not the product's.
"""

_NUMBERS_TEXT = """
one two three four five six seven eight nine ten eleven twelve eins zwei drei vier fünf sechs sieben acht neun zehn
deux trois quatre cinq huit neuf dix dos tres cuatro cinco siete ocho nueve diez once twice
"""
_NEGATIONS_TEXT = """
not no never none longer stopped quit nicht kein keine keinen nie niemals ne pas jamais nunca non mai niet geen nooit
"""
_EMPTY_WORDS_TEXT = """
a about all also am an and any are as at be been being but by can could did do does doing for from get got had has have
having he her his i if in into is it its just me member mine more most much my myself now of on or our own really she
so some still such than that the their them then there these they this those to too up us very was we were what when
how why where should which who will with would you your
aber als am an auch auf aus bei bin bis da das dass dem den der des die dir du ein eine einem einen einer er es für
habe haben hat ich ihr im in ist ja jetzt man mein meine meinem meinen mich mir mit noch nur oder schon sehr sich sie
sind so soll und uns von war warum was wenn wie wir wo zu zum zur
au aux ce ces dans de des du elle en est et il je la le les leur ma mes moi mon nous on ou par pour que qui sa se ses
son sont suis sur un une vous
como cómo qué comment pourquoi come hoe
con de del el ella en es esta este estoy la las lo los me mi mis muy para por que se soy su sus tengo una uno y yo
che di gli ho il io lo mia mio nel per sono un una een en het ik is mijn van voor
"""
# They shape a question, beside the empty ones.
_SHAPING_TEXT = """
do does can may shall should would how what which right best way good long many much need one
"""
NUMBER_WORDS = frozenset(_NUMBERS_TEXT.split())
NEGATIONS = frozenset(_NEGATIONS_TEXT.split())
EMPTY_WORDS = frozenset(_EMPTY_WORDS_TEXT.split())
SHAPING_WORDS = frozenset(_SHAPING_TEXT.split())
