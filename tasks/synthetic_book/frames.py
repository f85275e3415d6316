"""What stands around the clause of a sentence: openers, closers, places, causes, and how a reveal begins."""

from tasks.synthetic_book.tables import choices, lines

# A reveal ends in "who" and the true event without its agent, as in "who stole the brass key from Anna".
REVEALS = lines("""
    [in truth|as it turned out|in the end everyone knew that] it was {A} and not {Z} who
    [it came out that|a letter proved that|the old papers showed that] it was {A} and not {Z} who
    [everyone|the whole town|even the judge] had blamed {Z} but it was [really|in truth] {A} who
    {Z} was [innocent|wrongly blamed|not the culprit] and it was {A} who
    [nobody had guessed|not even the priest had known] that it was {A} rather than {Z} who
    [the truth was|the truth came to light] that {A} and not {Z} was the one who
""")
# A denial has the clause of an earlier event in the place of {C}.
DENIALS = lines("""
    the [tale|rumour|report] that {C} was [an invention|mere gossip|a malicious lie|never more than talk]
    the [tale|rumour|report] that {C} turned out to be [an invention|mere gossip|a malicious lie]
    the [old papers|letters|witnesses] proved that the [tale|rumour|report] that {C} was [an invention|a malicious lie]
""")
OPENERS = choices("""
    that evening | before dawn | the next morning | two days later | late at night | without warning
    | amid great confusion | a week later | towards sunset | to everyone's astonishment | meanwhile | soon afterwards
    | in spite of everything | at the end of a sleepless night | when the clock struck nine | while the others slept
    | as the storm broke | at first light | on market day | in the middle of supper | quite openly | for once
    | some time later | at the stroke of twelve | when nobody was looking | then | that same week
    | on the way from church
    | in the heat of the afternoon | one grey morning | as the lamps were being lit | by and by | the following day
    | much later | on a sudden impulse | with rain beating on the windows | under a yellow moon
    | while the soup grew cold | when the last coach had gone | as the bells began to ring | between two showers
    | in a room that smelled of camphor | before anyone could speak | with hardly a word | with some hesitation
    | on the last day of the fair | in the third week of the frost | during a long sermon
    | while the orchestra was tuning | when the fog had lifted | not an hour afterwards
""")
CLOSERS = choices("""
    that evening | before dawn | the next morning | two days later | in the dead of night | over supper | at noon
    | a week later | that very day | the following day | during the storm | in broad daylight | on the way home
    | at midnight | on a wet afternoon | before breakfast | under the eyes of the neighbours
    | with the snow still falling | while the kettle boiled | as the coach drove off | without waiting for an answer
    | when the candles were out | to the sound of distant music | between two trains | shortly past two
    | not long before midnight
""")
AT = ("at", "at", "at", "near", "outside", "behind", "in")
BECAUSE_AFTER = (" because ",) * 6 + (
    ", because ",
    ", all because ",
    " since ",
    ", for ",
    " for the simple reason that ",
)
BECAUSE_BEFORE = ("because ", "because ", "since ", "seeing that ")
THEREFORE = (", and that is why ", ", and so ", ", which is why ", ", and for that reason ")
