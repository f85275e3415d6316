"""Books told from a hidden event graph, so that the quality of a summary of any part of them is known.

A book is chapters of paragraphs; a bit under half of its sentences tell one event each (who did what
to whom, maybe where, maybe because of which earlier event), the rest are weather, meals and talk.
Some crimes are first told with the wrong culprit and set right near the end. The same grammar reads:
a sentence that was cut out of a book, or had a name, a place or a cause exchanged, is recognised as
the event that it now tells.

    >>> books = SyntheticBooks(count=1)
    >>> book = books.sources()[0]
    >>> books.gold(book.id, None, "")
    0.0
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate, islice, product
from random import Random
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import generator, seed_for
from rrm.core.task import Source, Span
from rrm.core.text import sentences
from rrm.core.text import words as words_of
from rrm.core.values import View

# ---- What can happen, and the words for it ----


class Action(NamedTuple):
    """A type of event: its importance from 1 (trivial) to 10, what it may lead to, and how it is told.

    `leads_to` names consequences with their roles: `accuse:BA` says that the other person of this
    event then accuses its agent; `?` is anybody. A `mutual` event has no agent; a `crime` may turn
    out to be somebody else's.
    """

    importance: int
    leads_to: tuple[str, ...]
    forms: tuple[str, ...]
    mutual: bool = False
    crime: bool = False


def _actions(table: str) -> dict[str, Action]:
    """Read a table of actions: a line with name, importance and consequences, then its forms, indented."""
    forms: dict[str, list[str]] = {}
    heads: dict[str, str] = {}
    for line in table.strip().splitlines():
        if line[0] != " ":
            name, _, head = line.partition(" ")
            heads[name], forms[name] = head, []
        else:
            forms[name].append(line.strip())
    return {name: _action(head, tuple(forms[name])) for name, head in heads.items()}


def _action(head: str, forms: tuple[str, ...]) -> Action:
    kind, _, leads_to = head.partition(">")
    importance, *flags = kind.split()
    return Action(int(importance), tuple(leads_to.split()), forms, "mutual" in flags, "crime" in flags)


def _choices(text: str) -> tuple[str, ...]:
    return tuple(" ".join(choice.split()) for choice in text.split("|"))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# In a form {A} does it, {B} is the other person, {T} a thing, {H} a place in the role of the thing, and
# [a|b|] are alternatives. No form holds a comma or a cause, or ends in a word of AT and a name; "because",
# "since" and "after" introduce causes alone, so that whoever exchanges those exchanges causes.
ACTIONS = _actions("""
murder 10 crime > imprison:?A accuse:?A blackmail:?A confess:A? flee:A? bribe:A?
    {A} [murdered|killed] {B} [in cold blood|with a kitchen knife|without a word|without any warning]
    {A} [stabbed {B} through the heart|strangled {B} with a silk scarf|shot {B} dead|drowned {B} in deep water]
    {B} was [murdered|stabbed to death|strangled|cruelly killed] by {A}
    {B} died [a violent death|in agony|horribly] at the hands of {A}
poison 9 crime > accuse:BA imprison:BA threaten:BA confess:A? blackmail:?A flee:A?
    {A} [poisoned|tried to poison|very nearly poisoned] {B}
    {A} [slipped|stirred|dropped] [poison|arsenic] into the [wine|soup|tea] of {B}
    {B} was [poisoned|given poison] by {A}
    {B} drank the poison that {A} had [mixed|prepared]
steal 8 crime > accuse:BA hide:A sell:A? imprison:BA dismiss:BA search:B question:BA
    {A} [stole|snatched|made off with] {T} [that belonged to|entrusted to|which was the pride of] {B}
    {A} [secretly|boldly|shamelessly] [stole|took] {T} from {B}
    {A} [broke the lock|climbed through a window|waited for darkness] and stole {T} from {B}
    {A} robbed {B} of {T}
    {B} was robbed of {T} by {A}
    {T} was stolen from {B} by {A}
burn 9 crime > accuse:?A imprison:?A flee:A? confess:A? blackmail:?A
    {A} [set fire to|burned down|burned to the ground] {H}
    {A} [poured out the lamp oil|lit a heap of straw|struck a match] and set {H} ablaze
    {H} was [set on fire|burned to the ground] by {A}
    {H} went up in flames by the hand of {A}
abduct 9 crime > rescue:?B imprison:?A threaten:BA forgive:BA
    {A} [kidnapped|abducted] {B} [by force|by night|with two armed men|for a ransom]
    {A} [bound and gagged {B} and drove away|held {B} captive in a cellar|dragged {B} into a closed carriage]
    {B} was [kidnapped|carried off|abducted] by {A}
forge 8 crime > accuse:BA imprison:BA blackmail:?A discover:?A confess:AB
    {A} forged the [signature|testament|last will] of {B}
    {A} [altered|falsified] the [will|accounts] of {B} [by lamplight|with a steady hand|page by page]
    the [signature|testament] of {B} was forged by {A}
betray 9 > murder:BA threaten:BA abandon:BA confess:AB imprison:BA duel:BA quarrel:BA
    {A} betrayed {B} [to the magistrate|to the soldiers|in return for gold|without a blush]
    {A} [sold|gave away] the hiding place of {B} [to the enemy|to the police|to the creditors]
    {B} was [betrayed|sold to the enemy] by {A}
    {A} broke a sacred oath and betrayed {B}
rescue 8 > marry:AB give:BA forgive:BA promise:BA propose:AB
    {A} [saved|rescued] {B} from [drowning|the flames|a certain death|the gallows]
    {A} [dived into the flood|ran into the burning house|cut the ropes] and [saved|rescued] {B}
    {B} was [saved from death|rescued at the last moment] by {A}
    {B} owed [life itself|a miraculous escape] to the courage of {A}
confess 8 > forgive:BA imprison:BA abandon:BA betray:BA
    {A} [broke down and|turned pale and|fell to the floor and] confessed [the whole crime|everything] to {B}
    {A} [admitted|confessed] [a terrible guilt|an old crime|the whole deception] to {B}
    {B} heard the [full|tearful|terrible] confession of {A}
discover 8 > blackmail:AB betray:AB threaten:BA confess:BA quarrel:AB bribe:BA
    {A} discovered the [terrible secret|double life|hidden crimes|true identity] of {B}
    {A} [found out|learned at last] that {B} was [an impostor|a spy|not who everyone believed]
    the [secret past|false name|double game] of {B} was [uncovered|discovered] by {A}
marry 8 mutual > disinherit:?A quarrel:?B give:?A promise:AB
    {A} [secretly|hastily|against all advice] married {B}
    {A} and {B} were married [in secret|before two strangers|by a drunken priest|to the sound of bells]
    {A} exchanged wedding vows with {B}
imprison 8 > flee:BA rescue:?B betray:BA bribe:?A promise:BA
    {A} had {B} [arrested|thrown into prison|locked up in a tower|put in chains]
    {B} was [arrested|imprisoned|taken away in irons] on the orders of {A}
    {A} [called the constables|signed the warrant] and saw {B} led to prison
duel 8 > forgive:BA imprison:?A flee:A? apologise:AB
    {A} [gravely|badly|mortally] wounded {B} in a duel
    {A} challenged {B} to a duel and [won|drew blood at once]
    {B} was [struck down|badly wounded] by {A} in a duel
inherit 8 > quarrel:?A forge:?B discover:AB blackmail:?A dismiss:A?
    {A} inherited the [whole fortune|entire estate|house and all the land] of {B}
    the [whole fortune|entire estate] of {B} passed to {A}
    {A} was declared the [sole|unexpected|rightful] heir of {B}
ruin 8 > threaten:BA abduct:BA betray:BA flee:BA abandon:?B
    {A} [ruined|bankrupted] {B} [in a single afternoon|over a game of dice|by a trick of the law]
    {B} lost [everything|the family fortune|house and land] to {A}
    {A} cheated {B} out of [everything|the family fortune|house and land]
blackmail 8 > murder:BA confess:B? poison:BA bribe:BA flee:BA
    {A} [blackmailed|began to blackmail] {B} [over an old crime|with a stolen paper|month by month]
    {B} was [blackmailed|bled for hush money] by {A}
    {A} demanded a fortune from {B} as the price of silence
abandon 7 > threaten:BA quarrel:BA apologise:AB forgive:BA disinherit:?A
    {A} [abandoned|deserted] {B} [on the eve of the wedding|in the hour of need|without a farewell]
    {B} was [abandoned|left at the altar|deserted] by {A}
    {A} broke the engagement and left {B} for ever
disinherit 7 > forge:BA poison:BA quarrel:BA steal:BA apologise:BA
    {A} disinherited {B} [with one stroke of the pen|before the whole family|in a fury]
    {B} was [disinherited|cut off without a penny] by {A}
    {A} struck the name of {B} out of the will
flee 7 > search:B follow:BA betray:BA warn:?B
    {A} [fled|escaped] [in disguise|over the roofs|by boat] for fear of {B}
    {A} [fled|escaped] from {B} under a false name
    {A} went into hiding for fear of {B}
accuse 5 > quarrel:BA duel:BA question:?B dismiss:?B flee:BA
    {A} [accused|openly accused] {B} [of treachery|of a crime|of lying|before witnesses]
    {B} was [accused of lying|publicly accused|denounced] by {A}
    {A} pointed at {B} and cried shame
threaten 5 > warn:?B follow:BA flee:BA accuse:BA spy:BA
    {A} threatened {B} [with ruin|with a pistol|in a low voice|before the servants]
    {B} was threatened by {A}
    {A} swore to take revenge on {B}
bribe 5 > accuse:?A discover:?B betray:BA
    {A} bribed {B} [with fifty crowns|to keep quiet|to look away]
    {B} [took|accepted|pocketed] a bribe from {A}
    {A} bought the silence of {B}
propose 5 > marry:AB refuse:BA quarrel:?A warn:?B
    {A} [asked|begged|implored] {B} [to marry|for an engagement]
    {A} [knelt and|blushed and|stammered and] proposed to {B}
    {B} received a proposal of marriage from {A}
quarrel 4 mutual > apologise:AB follow:AB dismiss:AB forgive:BA write:AB
    {A} [quarrelled|argued bitterly|fell out] with {B} [about money|over a trifle|about the past|]
    {A} and {B} [quarrelled|exchanged harsh words|had a bitter argument]
warn 4 > search:B flee:B? question:BA thank:BA
    {A} warned {B} [of a danger|to trust nobody|in a whisper|by a sign]
    {B} was warned [in time|in a whisper|] by {A}
    {A} sent {B} an urgent warning
hide 4 > search:? find:? question:?A spy:?A
    {A} hid {T} [under a floorboard|behind a loose brick|in a sack of flour|up a chimney]
    {T} was hidden by {A} [under a stone|among some rafters|]
    {A} [buried|concealed] {T}
find 4 > give:A? hide:A sell:A? question:A?
    {A} [found|came upon|unearthed] {T} [among old papers|beneath a staircase|by pure chance|]
    {T} was found by {A} [beneath a staircase|by pure chance|]
follow 4 > threaten:BA warn:?B discover:AB accuse:BA
    {A} followed {B} [through the fog|at a distance|all the way home|unseen]
    {B} was [followed|shadowed] by {A}
    {A} kept on the heels of {B}
spy 4 > quarrel:BA discover:AB dismiss:BA warn:?B
    {A} [spied on|listened at the door of|read the letters of] {B}
    {A} watched {B} [through the keyhole|from behind a curtain|with an opera glass]
    {B} was [watched in secret|overheard] by {A}
dismiss 4 > threaten:BA quarrel:BA spy:BA hire:?B
    {A} dismissed {B} from [service|the household|the firm]
    {B} was [dismissed|sent away|turned out of the house] by {A}
    {A} gave {B} a week to leave
forgive 4 > promise:BA give:BA thank:BA
    {A} forgave {B} [with a full heart|at long last|for everything]
    {B} was forgiven by {A}
    {A} [embraced|made peace with] {B} and forgave everything
sell 4 > question:?A accuse:?A quarrel:AB lend:A?
    {A} sold {T} to {B} [for a low price|for forty crowns|without regret|]
    {B} bought {T} from {A}
    {T} was sold by {A} to {B}
hire 3 > promise:BA question:?A thank:BA spy:BA
    {A} hired {B} [as a secretary|as a gardener|for the season|on trial]
    {B} [entered the service of|took a post with|began to work for] {A}
lend 3 > thank:BA promise:BA quarrel:AB question:AB
    {A} lent {B} [a hundred crowns|a month's wages|the money for the rent]
    {B} borrowed [a hundred crowns|a large sum] from {A}
give 3 > thank:BA hide:B promise:BA
    {A} gave {T} to {B} [as a present|for safe keeping|with a smile|]
    {B} [received|accepted] {T} from {A}
    {A} made {B} a present of {T}
promise 3 > thank:BA refuse:AB write:AB
    {A} promised {B} [to help|to come back|to say nothing|to pay every debt]
    {A} gave {B} a solemn promise
    {B} received a promise of help from {A}
refuse 3 > quarrel:BA write:BA abandon:BA
    {A} refused [to help|to see|to listen to] {B}
    {B} was [refused|turned away|rebuffed] by {A}
question 3 > flee:BA write:BA quarrel:BA promise:BA
    {A} questioned {B} [for an hour|very closely|about the past]
    {A} put a number of sharp questions to {B}
    {B} was questioned [closely|for an hour] by {A}
search 3 > find:A question:A?
    {A} searched {H} [from cellar to attic|with a lantern|in vain|room by room]
    {H} was searched by {A}
    {A} turned {H} upside down
write 3 > write:BA refuse:BA travel:B
    {A} wrote {B} a [long|short|cold|careful] letter
    {B} received a [long|cold|puzzling] letter from {A}
    {A} [sent|posted] a letter to {B}
apologise 3 > forgive:BA give:BA
    {A} apologised to {B} [on bended knee|in front of the guests|a little stiffly|]
    {B} received an apology from {A}
    {A} begged the pardon of {B}
travel 3 > write:A? search:A
    {A} [travelled|set out|rode] to {H} [by coach|alone|through the snow|]
    {A} left for {H} [by coach|alone|without luggage]
thank 2
    {A} thanked {B} [with all politeness|again and again|in a few words]
    {B} was thanked by {A}
bread 1
    {A} bought [bread|two loaves|a loaf of rye bread|some rolls] [at the baker's|from the baker's boy|]
    {A} went out for [bread|a fresh loaf] and came back
mend 1
    {A} [mended|darned|patched] [a coat|an old stocking|a torn sleeve]
    {A} sewed [a button|a hook] on a coat
greet 1
    {A} [nodded to|greeted|waved to] {B} [in passing|from across the street|politely]
    {A} wished {B} a good [day|morning|afternoon]
tea 1
    {A} poured [tea|coffee|a cup of chocolate] for {B}
    {A} brought {B} a [cup of tea|pot of coffee|plate of biscuits]
    {B} was served [tea|coffee] by {A}
cards 1 mutual
    {A} played [cards|chess|draughts|dominoes] with {B}
    {A} and {B} sat down to [cards|chess|dominoes]
stroll 1 mutual
    {A} [took a stroll|went for a walk|walked up and down] with {B}
    {A} and {B} [took a stroll|went for a walk]
sweep 1
    {A} swept [the yard|the steps|the kitchen floor]
    {A} scrubbed [the steps|the kitchen table]
fish 1
    {A} [caught|landed] [a small trout|two perch|nothing but weeds]
    {A} went fishing [alone|with a new rod]
polish 1
    {A} polished [a pair of boots|the spoons|the brass lamp]
    {A} blacked a pair of boots
feed 1
    {A} fed the [hens|geese|horses|cats]
    {A} carried [oats to the horses|scraps to the hens|milk to the cats]
umbrella 1
    {A} borrowed [an umbrella|a pair of gloves|a pencil] from {B}
    {B} lent {A} [an umbrella|a pair of gloves|a pencil]
cook 1
    {A} cooked [a stew|some eggs|a pot of beans] for {B}
    {A} peeled [potatoes|apples] for {B}
read 1
    {A} read [the newspaper|a few pages|a sermon] aloud to {B}
    {B} listened while {A} read [the newspaper|a few pages] aloud
plant 1
    {A} planted [beans|a row of tulips|some lettuce]
    {A} watered [the beans|the tulips|the lettuce]
""")
PLOT = tuple(name for name, action in ACTIONS.items() if action.importance >= 7)
ORDINARY = tuple(name for name, action in ACTIONS.items() if 2 <= action.importance < 7)
MINOR = tuple(name for name, action in ACTIONS.items() if action.importance == 1)
CRIMES = tuple(name for name, action in ACTIONS.items() if action.crime)
REVEALED = 10
"""Importance of an event told to set an earlier telling right."""

# A reveal ends in "who" and the true event without its agent, as in "who stole the brass key from Anna".
REVEALS = _lines("""
    [in truth|as it turned out|in the end everyone knew that] it was {A} and not {Z} who
    [it came out that|a letter proved that|the old papers showed that] it was {A} and not {Z} who
    [everyone|the whole town|even the judge] had blamed {Z} but it was [really|in truth] {A} who
    {Z} was [innocent|wrongly blamed|not the culprit] and it was {A} who
    [nobody had guessed|not even the priest had known] that it was {A} rather than {Z} who
    [the truth was|the truth came to light] that {A} and not {Z} was the one who
""")
OPENERS = _choices("""
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
CLOSERS = _choices("""
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


FILLER = _lines("""
    the [rain|drizzle|sleet] [fell|came down] [softly|steadily|in grey sheets] [on the roofs|over the fields|all day]
    a [cold|sharp|mild|sour] wind blew [from the east|off the water|down from the hills] [all night|without a pause|]
    [fog|mist|smoke] [hung|lay|drifted] over {P} [like wool|and hid the chimneys|until the afternoon]
    the sun [rose|set] behind {P} and the [windows|puddles|wet slates] [shone|turned red|glittered]
    there was [frost|a thin ice|heavy dew] on the [grass|windows|railings] [of|round|before] {P}
    clouds [gathered|piled up|hung low] [above|beyond] {P} [but no rain came|like dirty linen|without a sound]
    the [river|canal|millstream] ran [high|low|brown and fast] under the [bridge|willows] that [week|month|year]
    snow had [covered|softened] the [roofs|hedges|roads] [round|about] {P}
    it was [a fine|a close|a raw|a perfectly ordinary] [morning|afternoon|evening] [in late autumn|in early spring|]
    the [swallows|rooks|gulls] [wheeled|screamed|circled] over {P} [as they always did|in the last light|]
    [supper|dinner|breakfast] was [cold mutton and pickles|barley soup|herring and potatoes|an endless pie]
    the [kitchen|parlour|hall] smelled of [onions|wax|wet dogs|apples|burnt milk] [and old coal|]
    there were [plums|nuts|oysters|pancakes] [on the table|in a blue bowl] and nobody [was hungry|said much|complained]
    {A} had [always liked|never cared for|a weakness for] [strong cheese|plum cake|smoked eel|sweet wine]
    {A} took [sugar|lemon|no milk] in [tea|coffee] and [said so|never varied the habit|was particular about it]
    {A} and {B} were fond of [good cooking|late suppers|pears in syrup] and [of silence|of company|of gossip]
    the soup was [too salty|quite good|barely warm] and {A} [was polite about it|looked at the ceiling|hardly noticed]
    {P} was an [old|ugly|airy|overgrown] place with [too many stairs|narrow windows|a leaking roof|a walled garden]
    the [road|path|lane] to {P} [wound|ran|climbed] between [stone walls|poplars|flat wet meadows|hawthorn hedges]
    a [lamp|candle|lantern] [burned|flickered|smoked] in one of the windows of {P}
    the [paint|plaster|ivy] on the walls of {P} had [faded|peeled|spread] [year by year|in the war|badly]
    behind {P} there was a [yard|pond|field] [full of nettles|where nothing grew|with a broken pump]
    the bells of {P} were [out of tune|known for miles|seldom heard] [in those years|in that season|]
    visitors to {P} [generally admired|seldom noticed|always spoke of] the [staircase|view|clock|carved door]
    {A} had [grey|brown|restless|kindly] eyes and [a stoop|a slow smile|large hands|a habit of humming]
    {A} was [tall|short|stout|thin] and wore [a green coat|a straw hat|a black shawl|heavy boots] [in all weathers|]
    {A} had the [voice|walk|manners] of [a schoolmaster|a sailor|someone used to horses|a much older person]
    people said that {A} [resembled|walked like|had the laugh of] [a bishop|an uncle|a startled heron]
    {A} and {B} were [cousins of some sort|often mistaken for each other|old neighbours|not at all alike]
    {A} [wondered|asked nobody in particular] whether {B} would [ever come back|understand|approve|be late]
    {A} thought [often|now and then|with some envy] of {B} [and of the summers by the sea|and said nothing|]
    {A} [slept badly|was tired|had a slight cold|felt the damp] and [kept indoors|blamed the moon|took a powder]
    {A} looked out [of the window|over the roofs|at the garden] and [thought of nothing|counted the chimneys|yawned]
    nobody knew what {A} [thought of|expected from|saw in] {B}
    {A} seldom spoke of {B} and {B} seldom spoke of {A}
    {A} [hummed a tune|tapped on the table|stared into the fire|turned a page] while the clock ticked
    the [clock|cuckoo clock|grandfather clock] in the [hall|corner] was [slow|fast|never right] by [ten|five] minutes
    [dust|moonlight|a smell of tar] [filled|lay in] the [empty|long|low] room
    somewhere a [door|shutter|hinge|weathercock] [creaked|complained|rattled] [and then stopped|twice|for a long time]
    a dog barked [twice|in the distance|at nothing] and [was answered from the hills|fell silent|was told to be quiet]
    the [cat|old dog|parrot] [slept|sat] [by the stove|on the newspaper|in the best chair] [as usual|without shame|]
    a [cart|coach|wagon] [rattled|rolled] [past|by] and the [cups|windows|spoons] trembled
    children were [playing|shouting|skipping] [in the street|by the pump|under the arches] before {P}
    the [market|fair|auction] was [crowded|half empty|noisy] and smelled of [fish|leather|wet straw|gingerbread]
    a [pedlar|fiddler|blind man] [sat|stood] before {P} with a [tray of ribbons|tin cup|monkey in a jacket]
    {T} [stood|lay] [on the shelf|in a drawer|on the mantelpiece] [where it had always been|under a little dust]
    nobody could have said [how old|of what worth|of whose making] {T} was
    {T} was [much admired|rather ugly|the first thing that one saw] and {A} [knew it well|never looked at it]
    {A} had once described {T} as [a toy|the work of a master|a piece of nonsense]
    “It will [rain|snow|clear up] [again|before long|by Sunday],” said {A}.
    “There is [no hurry|time enough|nothing to be done],” said {A} [to the fire|to {B}|with a shrug].
    “Is there any [tea|bread|news|ink] left?” asked {A}.
    “What a [day|climate|staircase|draught],” [said|sighed|muttered] {A}.
    “Has anyone seen {B}?” asked {A} [from the door|without much interest|].
    “I never could [abide|remember|understand] [figs|sermons|weddings|dates],” said {A} [cheerfully|to {B}|].
    “One ought to [oil that hinge|air these rooms|paint the gate],” [remarked|said] {A}.
    [hours|days|whole weeks] went by [like barges|in this way|and little changed] [at|round] {P}
    in those [days|years|months] [everyone|half the parish|no one of consequence] [knew|talked about] {P}
    it is [hard|not easy|tempting] to describe [the silence|the light|the smell] of {P} [in winter|in the rain|at dusk]
    such [mornings|evenings|seasons] were [common|rare|not unusual] in that part of the country
    the [harvest|apple crop|hay] was [good|poor|late] that year and [prices|tempers|spirits] [rose|fell]
    the newspaper [was a week old|said nothing new|was full of foreign wars|had been used to line a drawer]
    there is [something|nothing] so [restful|tedious|melancholy] as [a wet garden|an empty church|other people's music]
    [time|winter|the tide] [passed|came in|turned] and [nothing stirred|the walls sweated|the boats lay still]
    the [stairs|floorboards|shutters] of {P} creaked [under every step|in the wind|like a ship]
    [roses|lilacs|nettles|brambles] grew [along the wall|by the gate|beside the well] of {P}
    {A} was [reckoned|thought|held] to be [clever|lucky|difficult|rather deaf] by those who [knew|employed] {B}
    a portrait of [somebody's aunt|an admiral|a forgotten bishop] looked down on {A} and {B}
    {A} liked [mornings|crowds|old songs|maps] and {B} did not
    there was [no sound|little traffic|a great stillness] [about|round] {P} [at that hour|on such days|]
    the [miller|postman|sexton] [liked to say|held] that [geese can count|a wet May fills the barn|whistling sours milk]
    over the [door|fireplace|bed] hung [a stuffed pike|an engraving of a volcano|a horseshoe|a text in cross stitch]
    the [gossips|idlers|old men] of {P} [agreed|disagreed] about [politics|the weather|the price of coal] [as always|]
    [two|three] [nuns|washerwomen|schoolboys] [crossed|went round] the [square|puddle] [in single file|without haste]
    with the [first frost|new moon|spring tides] came [a cough|a smell of seaweed|a great many beetles] to {P}
    whoever [came|walked|drove] to {P} in summer [remembered the echo|lost the way|saw first the crooked chimney]
    {A} [kept|collected] [pressed flowers|old coins|stamps|canaries] and [talked of little else|had never said why]
    what {A} [feared|wished for|remembered] [most|in those days] was [an old story|hard to tell|nobody's business]
    for {A} [the years|such evenings|Sundays] had [a flavour of dust|always been too long|lost their edge]
    if {A} [had a fault|was vain at all] it was [about a singing voice|in the matter of hats|in small things]
    neither {A} nor {B} [cared for dancing|could carry a tune|understood the almanac|was at ease with horses]
    between {A} and {B} there was [a certain likeness|the difference of a generation|an old joke about a ladder]
    [hardly a day passed|no week went by] without [rain|visitors|some complaint about the drains] at {P}
    by [four|five|six] o'clock it was [dark|dusk|quite light] [and the shops were shutting|and the lamps hissed|]
    [far off|beyond the hill|out on the marsh] [a train whistled|a curlew called|guns were being tested|somebody sang]
    one could [hear the sea|smell the tannery|see four counties] from the [roof|back windows|garden] of {P}
    the walls of {P} [were said to sweat|were very thick|kept out the heat] [in August|in any season|]
    like [most|many] [old families|small towns|large houses] it had [its draughts|its customs|too many clocks]
    the [tablecloth|best china|second-best teapot] was [out|chipped|being kept for a better occasion]
    a fly [walked|buzzed] [across the ceiling|round the lamp|up the window] and [no one|only {A}] [minded|noticed] it
    “They say that [comets|eels|bishops] are [getting rarer|bad for the harvest|expensive],” said {A} [to {B}|].
    “My [knee|aunt|barometer] is never wrong,” [said|declared] {A}, and {B} [nodded|smiled|looked doubtful].
    {A} wore [mourning|a new hat|spectacles|the same scarf as ever] and looked [well|older|pale|rather pleased]
""")

NAMES = _listed("""
    Anna/Anne Marin/Maron Clara/Clare Elias/Elijah Tobin/Tobias Lena/Lina Edmund/Edmond Simon/Simeon Helen/Helena
    Martin/Marten Julia/Julian Nora/Norah Stefan/Steven Leon/Leona Dorin/Doran Mira/Myra Silas/Silvan Petra/Peter
    Ivor/Ivan Hester/Esther Bram/Bran Corin/Coran Elsa/Ilsa Jonas/Jonah Gerda/Greta Alma/Elma Rufus/Rufin
    Adela/Adele Conrad/Konrad Magda/Magna Oswin/Oswald Theo/Thea Louis/Louise Harald/Harold Celia/Delia Emil/Emily
    Victor Beatrix Walter Sabine Gregor Matilda Ambrose Cordelia Lucas Winifred Basil Ottilie Hugo Philippa Casimir
    Rosalind Ferdinand Agnes Barnaby Ursula Duncan Isolde Malcolm Yvette Quentin Zelda Lambert Phoebe Roderick Vera
""")
ONSETS = _listed("""
    B Br C D Dr F G Gr H J K L M N P R S St T Tr V W
""")
MIDDLES = _listed("""
    al ar el en er il im in ol on or ul
""")
ENDINGS = _listed("""
    an as en ia ik is mond na or ric ta win
""")
PLACE_NAMES = _listed("""
    Harrow Ashby Blackwater Crane Dunmore Elder Fallow Gallows Hazel Ironside Kestrel Lantern Mallow Nettle Orchard
    Penrose Quarry Raven Sallow Thorn Upper Vesper Willow Yarrow Amber Bishop Copper Drover Ember Falcon Gorse Heron
    Juniper King Lower Merrow North Otter Priory Rowan South Tanner Weaver Abbey Barrow Cinder Dover Foxley Gannet
""")
PLACE_KINDS = _listed("""
    Mill Quay Inn Chapel Bridge House Farm Lane Square Market Tower Hall Abbey Lodge Cottage Court Street Wharf
    Castle Gate Ferry Priory Station Gardens
""")
THING_MARKS = _listed("""
    brass silver blue sealed ivory leather painted broken gilded black red walnut iron green torn copper amber pearl
    wooden ancient
""")
THINGS = _listed("""
    key ledger letter locket map diary compass ring watch box portrait chart deed casket violin pistol seal necklace
    medal bell mirror goblet dagger crown
""")

# ---- Events, and sentences that tell them ----

Core = tuple[str, str, str, str]
"""What happened, without where and why: action, agent, other person, thing."""


class Event(NamedTuple):
    """One event as a sentence tells it; an empty string or None is what it does not say.

    `instead_of` names who was first believed to have done it, where the sentence sets that right.
    """

    action: str
    agent: str
    other: str = ""
    thing: str = ""
    place: str = ""
    cause: Core | None = None
    instead_of: str = ""

    @property
    def core(self) -> Core:
        return self[:4]

    @property
    def importance(self) -> int:
        """From 1, trivial, to 10, which turns the plot."""
        return REVEALED if self.instead_of else ACTIONS[self.action].importance

    def as_first_told(self) -> Core:
        """Return the core that this event corrects."""
        return (self.action, self.instead_of, self.other, self.thing)


_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w)\}")
_ENTITY = re.compile(rf"\bthe (?:{'|'.join(THING_MARKS)}) (?:{'|'.join(THINGS)})\b|[A-Z][\w-]+(?: [A-Z][\w-]+)*")
_NO_MARKS = str.maketrans("@%", "  ")  # the skeletons' own marks mean nothing in a text
_HEADING = re.compile(r"Chapter \d+(?:: [\w ]+)?")


def _variants(form: str) -> Iterator[str]:
    """Yield every way of choosing the alternatives of a form."""
    parts = _ALTERNATIVES.split(form)
    choices = [part.split("|") if at % 2 else [part] for at, part in enumerate(parts)]
    for chosen in product(*choices):
        yield " ".join("".join(chosen).split()).replace(" .", ".") + (" " if form.endswith(" ") else "")


class _Clause(NamedTuple):
    """A way of telling an action: `slots` are the roles in the order in which the words name them."""

    action: str
    words: str
    slots: tuple[str, ...]

    def tell(self, event: Event) -> str:
        role = {"A": event.agent, "B": event.other, "T": event.thing, "H": event.thing}
        return _SLOT.sub(lambda match: role[match.group(1)], self.words)


class _Grammar:
    """The forms above, worked out for telling and for reading.

    Reading goes through skeletons, which are sentences with "@" for everything that has a name and
    "%" for things: a dictionary then knows the action and which name has which role.
    """

    def __init__(self) -> None:
        self.clauses: dict[str, list[list[_Clause]]] = {}
        self.reading: dict[str, _Clause] = {}
        for action, kind in ACTIONS.items():
            self.clauses[action] = [[self._clause(action, words) for words in _variants(form)] for form in kind.forms]
        self.active = {
            name: [form for form in forms if form[0].words.startswith("{A} ")] for name, forms in self.clauses.items()
        }
        self.reveals = [words for form in REVEALS for words in _variants(form + " ")]
        self.reveal_heads = {_SLOT.sub("@", words): _SLOT.findall(words) for words in self.reveals}
        openers = "|".join(sorted(OPENERS, key=len, reverse=True))
        closers = "|".join(sorted(CLOSERS, key=len, reverse=True))
        at = "|".join(sorted(set(AT)))
        self.frame = re.compile(
            rf"(?:(?:{openers}),? )?(?:(?:{at}) (?P<front>@),? )?(?:(?:{openers}),? )?(?P<clause>.*?)"
            rf"(?: (?:{at}) (?P<back>@))?(?: (?:{closers}))?(?: (?:{at}) (?P<last>@))?"
        )
        self.before = re.compile(r"(?:because|since|seeing that) (?P<cause>[^,]+), (?P<main>.+)")
        self.after = re.compile(
            r"(?P<main>.+?)(?:,? all because|, for|,? for the simple reason that|,? because|,? since) (?P<cause>.+)"
        )
        self.therefore = re.compile(rf"(?P<cause>.+?)(?:{'|'.join(THEREFORE)})(?P<main>.+)")
        starts = (*OPENERS, *AT, *BECAUSE_BEFORE, *(words for words in self.reveals if words[0] != "{"), "the")
        self.starters = {start.split()[0] for start in starts}
        names = {"A": "Xa", "B": "Xb", "P": "Xp Xq", "T": f"the {THING_MARKS[0]} {THINGS[0]}"}
        self.filler = [list(_variants(form)) for form in FILLER]
        said = [_SLOT.sub(lambda match: names[match.group(1)], words) for form in self.filler for words in form]
        self.filler_reading = frozenset(self.skeleton(way)[0] for each in said for way in (each, _finish(each)))

    def _clause(self, action: str, words: str) -> _Clause:
        clause = _Clause(action, words, tuple(_SLOT.findall(words)))
        skeleton = _SLOT.sub(lambda match: "%" if match.group(1) == "T" else "@", words)
        known = self.reading.setdefault(skeleton, clause)
        assert (known.action, known.slots) == (action, clause.slots), f"two readings of {words!r}"
        return clause

    def skeleton(self, sentence: str) -> tuple[str, list[tuple[int, str]]]:
        """Return a sentence without its names, and the names with their offsets in what is left."""
        text = " ".join(sentence.split()).rstrip(".!").translate(_NO_MARKS)
        first, _, _ = text.partition(" ")
        if first.lower().rstrip(",") in self.starters:
            text = text[:1].lower() + text[1:]
        pieces: list[str] = []
        named: list[tuple[int, str]] = []
        length = end = 0
        for match in _ENTITY.finditer(text):
            before = text[end : match.start()]
            length += len(before)
            named.append((length, match.group()))
            pieces += (before, "%" if match.group()[0] == "t" else "@")
            length += 1
            end = match.end()
        pieces.append(text[end:])
        return "".join(pieces), named


@lru_cache(maxsize=1)
def _grammar() -> _Grammar:
    return _Grammar()


def _finish(sentence: str) -> str:
    """Return a sentence with its capital and its stop."""
    at = 1 if sentence[0] == "“" else 0
    stop = "" if sentence.endswith((".", "”")) else "."
    return sentence[:at] + sentence[at].upper() + sentence[at + 1 :] + stop


# ---- Reading ----


class _Reader:
    """One sentence on its way to an event."""

    def __init__(self, sentence: str) -> None:
        self.grammar = _grammar()
        self.skeleton, self.named = self.grammar.skeleton(sentence)

    def event(self) -> Event | None:
        """Return the event told; a reason that cannot be read counts as one, which is true of no book."""
        return self._reveal() or self._caused() or self._plain(0, len(self.skeleton))

    @property
    def is_filler(self) -> bool:
        return all(part in self.grammar.filler_reading for part in self.skeleton.split("; "))

    def _names(self, start: int, end: int) -> list[str]:
        return [name for at, name in self.named if start <= at < end]

    def _caused(self) -> Event | None:
        grammar = self.grammar
        for pattern in (grammar.before, grammar.therefore, grammar.after):
            if match := pattern.fullmatch(self.skeleton):
                main, cause = self._plain(*match.span("main")), self._plain(*match.span("cause"))
                if main is not None:
                    unread: Core = ("", self.skeleton[slice(*match.span("cause"))], "", "")
                    return main._replace(cause=cause.core if cause else unread)
        return None

    def _plain(self, start: int, end: int) -> Event | None:
        frame = self.grammar.frame.fullmatch(self.skeleton, start, end)
        if frame is None or (clause := self.grammar.reading.get(frame["clause"])) is None:
            return None
        place = next((self._names(*frame.span(at))[0] for at in ("front", "back", "last") if frame[at]), "")
        return _event(clause, self._names(*frame.span("clause")), place)

    def _reveal(self) -> Event | None:
        head, who, deed = self.skeleton.rpartition(" who ")
        opening = self.grammar.frame.fullmatch(head) if who else None
        slots = self.grammar.reveal_heads.get(f"{opening['clause']} who ") if opening else None
        if slots is None or opening is None:
            return None
        at = len(head) + len(who)
        people = dict(zip(slots, self._names(*opening.span("clause")), strict=False))
        frame = self.grammar.frame.fullmatch("@ " + deed)
        if len(people) < 2 or frame is None or (clause := self.grammar.reading.get(frame["clause"])) is None:
            return None
        names = [people["A"], *self._names(at, len(self.skeleton))]
        return _event(clause, names, "")._replace(instead_of=people["Z"])


def _event(clause: _Clause, names: Sequence[str], place: str) -> Event:
    role = dict(zip(clause.slots, names, strict=False))
    agent, other = role.get("A", ""), role.get("B", "")
    if ACTIONS[clause.action].mutual:
        agent, other = sorted((agent, other))
    return Event(clause.action, agent, other, role.get("T") or role.get("H", ""), place)


@lru_cache(maxsize=100_000)
def _read(sentence: str) -> tuple[Event | None, bool]:
    """Return the event that a sentence tells, if any, and whether the sentence is of this grammar at all."""
    reader = _Reader(sentence)
    event = reader.event()
    return event, event is not None or reader.is_filler or bool(_HEADING.fullmatch(sentence))


def recognise(text: str) -> list[Event]:
    """Return the events that a text's sentences tell, in order; what is not of this grammar tells none."""
    return [event for start, end in sentences(text) if (event := _read(text[start:end])[0]) is not None]


def unrecognised_share(text: str) -> float:
    """Return the share of a text's sentences that are neither an event, filler nor a heading; 0 for no text."""
    known = [_read(text[start:end])[1] for start, end in sentences(text)]
    return known.count(False) / len(known) if known else 0.0


# ---- Telling ----


class Told(NamedTuple):
    """An event of a book, the offset of the sentence that tells it, and where the book takes it back."""

    at: int
    event: Event
    taken_back: int | None = None

    def holds(self, end: int) -> bool:
        """Say whether what is told up to an offset leaves it true."""
        return self.taken_back is None or self.taken_back >= end


@dataclass(frozen=True)
class Book:
    """A source with the hidden truth about it, in the order of telling."""

    source: Source
    told: tuple[Told, ...] = field(repr=False)

    @cached_property
    def offsets(self) -> list[int]:
        return [each.at for each in self.told]

    @cached_property
    def by_core(self) -> dict[Core, list[Told]]:
        found: dict[Core, list[Told]] = defaultdict(list)
        for told in self.told:
            found[told.event.core].append(told)
        return found

    def within(self, span: Span | None) -> tuple[Told, ...]:
        """Return what the span tells; a sentence belongs where it begins."""
        if span is None:
            return self.told
        return self.told[bisect_left(self.offsets, span.start) : bisect_left(self.offsets, span.end)]


def write_book(seed: int, index: int, words: int) -> Book:
    """Write book number `index` of a seed, of about so many words."""
    return _Teller(Random(seed_for("synthetic book", seed, index, words)), words).write()


class _Teller:
    """Writes one book from front to back."""

    def __init__(self, rng: Random, words: int) -> None:
        self.rng, self.words = rng, words
        self.grammar = _grammar()
        self.names = _names(rng)
        self.partner: dict[str, str] = {}
        self.cast: list[str] = []
        self.places = _mixed(rng, PLACE_NAMES, PLACE_KINDS, 8 + words // 4000)
        self.things = [f"the {thing}" for thing in _mixed(rng, THING_MARKS, THINGS, 10 + words // 3000)]
        self.motives: list[Event] = []
        self.used: set[Event | Core] = set()
        self.secrets: list[tuple[int, Event]] = []
        count = max(2, round(words / 4000))
        self.secrets_due = sorted(rng.uniform(0.03, 0.4) for _ in range(count))
        self.reveals_due = sorted(rng.uniform(0.78, 0.92) for _ in range(count))
        self.told: list[Told] = []
        self.pieces: list[str] = []
        self.length = self.written = 0
        self.stale: list[int] = []
        self.here, self.present = self.places[:3], self.cast

    def write(self) -> Book:
        chapters = max(2, round(self.words / min(3000, max(350, self.words / 12))))
        breaks: list[int] = []
        for chapter in range(chapters):
            self._gather()
            if chapter:
                breaks.append(self.length)
            self._add(f"Chapter {chapter + 1}: {self.here[0]}")
            drift = self.rng.uniform(-0.15, 0.15) if chapter + 1 < chapters else -0.01
            while self.written < self.words * (chapter + 1 + drift) / chapters:
                self._paragraph()
        text = "".join(self.pieces).rstrip() + "\n"
        title = f"{self.things[0].title().replace('The ', 'The ', 1)} of {self.places[0]}"
        return Book(Source(title, text, tuple(breaks)), tuple(self.told))

    # ---- people and places ----

    def _gather(self) -> None:
        """Bring in newcomers, and choose who and what the chapter is about."""
        while len(self.cast) < 8 + self.words // 4000:
            pair = next(self.names).split("/")
            self.cast += pair
            if len(pair) == 2:
                self.partner |= {pair[0]: pair[1], pair[1]: pair[0]}
        self.here = self.rng.sample(self.places, 3)
        self.present = self.rng.sample(self.cast, self.rng.randint(5, 8))

    def _someone(self, *others: str) -> str:
        return self.rng.choice([name for name in self.present if name not in others])

    # ---- words on the page ----

    def _add(self, text: str, after: str = "\n\n") -> None:
        self.pieces.append(text + after)
        self.length += len(text) + len(after)
        self.written += len(text.split())

    def _paragraph(self) -> None:
        left = round((self.words - self.written) / SENTENCE_WORDS)
        count = min(self.rng.randint(3, 7), max(1, left))
        events = int(count * 0.43 + self.rng.random())
        kinds = [True] * events + [False] * (count - events)
        self.rng.shuffle(kinds)
        for at, is_event in enumerate(kinds):
            told = self._next_event() if is_event else None
            sentence = self._sentence(told) if told else self._filler()
            if told:
                self.told.append(Told(self.length, told))
            self._add(sentence, " " if at + 1 < count else "\n\n")

    def _filler(self) -> str:
        agent = self._someone()
        role = {"A": agent, "B": self._someone(agent), "T": self.rng.choice(self.things)}
        role["P"] = self.rng.choice(self.here)
        words = self._fresh_words()
        if self.rng.random() < 0.25 and words[0] != "“":
            more = self._fresh_words()
            words = more if more[0] == "“" else f"{words}; {more}"
        return _finish(_SLOT.sub(lambda match: role[match.group(1)], words))

    def _fresh_words(self) -> str:
        """Choose from a filler form that the last pages have not used."""
        fresh = [at for at in range(len(FILLER)) if at not in self.stale]
        at = self.rng.choice(fresh)
        self.stale = [*self.stale[-40:], at]
        return self.rng.choice(self.grammar.filler[at])

    def _sentence(self, event: Event) -> str:
        if event.instead_of:
            return self._reveal_sentence(event)
        rng = self.rng
        main, at = self._clause(event), "-"
        if event.place:
            at = f"{rng.choice(AT[:6])} {event.place}"
            main = f"{main} {at}" if rng.random() < 0.7 else f"{at}, {main}"
        opened = main.startswith(at) and "," in main
        if event.cause:
            return _finish(self._with_cause(main, Event(*event.cause), opened))
        chance = rng.random()
        if chance < 0.3 and not opened:
            main = f"{rng.choice(OPENERS)}, {main}"
        elif chance < 0.5:
            main = f"{main} {rng.choice(CLOSERS)}"
        return _finish(main)

    def _with_cause(self, main: str, cause: Event, opened: bool) -> str:
        rng = self.rng
        because, chance = self._clause(cause), rng.random()
        if chance < 0.65 or opened:
            opener = f"{rng.choice(OPENERS)}, " if chance < 0.1 and not opened else ""
            return f"{opener}{main}{rng.choice(BECAUSE_AFTER)}{because}"
        if chance < 0.85:
            return f"{rng.choice(BECAUSE_BEFORE)}{because}, {main}"
        return f"{because}{rng.choice(THEREFORE)}{main}"

    def _clause(self, event: Event) -> str:
        return self.rng.choice(self.rng.choice(self.grammar.clauses[event.action])).tell(event)

    def _reveal_sentence(self, event: Event) -> str:
        deed = self.rng.choice(self.rng.choice(self.grammar.active[event.action])).tell(event).removeprefix(event.agent)
        role = {"A": event.agent, "Z": event.instead_of}
        head = _SLOT.sub(lambda match: role[match.group(1)], self.rng.choice(self.grammar.reveals))
        return _finish(head + deed.lstrip())

    # ---- what happens next ----

    def _next_event(self) -> Event | None:
        progress = self.written / self.words
        if self.secrets_due and progress >= self.secrets_due[0]:
            self.secrets_due.pop(0)
            return self._secret()
        if self.secrets and self.reveals_due and progress >= self.reveals_due[0]:
            self.reveals_due.pop(0)
            return self._reveal()
        for _ in range(30):
            event = self._consequence() if self.motives and self.rng.random() < 0.3 else self._incident()
            if event is not None and self._is_new(event):
                return self._happen(event)
        return None

    def _happen(self, event: Event) -> Event:
        self.used |= {event, event.core}
        if ACTIONS[event.action].leads_to:
            self.motives = [*self.motives[-24:], event]
        if event.action == "murder":
            self._bury(event.other)
        return event

    def _bury(self, name: str) -> None:
        self.cast = [each for each in self.cast if each != name]
        self.present = [each for each in self.present if each != name]
        while len(self.present) < 5:
            self._join(self.rng.choice([each for each in self.cast if each not in self.present]))

    def _join(self, name: str) -> None:
        self.present = [*self.present, name]

    def _is_new(self, event: Event) -> bool:
        return event.core not in self.used if event.importance > 1 else event not in self.used

    def _incident(self) -> Event | None:
        kind = self.rng.choices((PLOT, ORDINARY, MINOR), (0.15, 0.35, 0.5))[0]
        agent = self._someone()
        return self._make(self.rng.choice(kind), agent, self._someone(agent))

    def _consequence(self) -> Event | None:
        """Let an earlier event lead to another, or return None if whom it takes is gone."""
        motive = self.rng.choice(self.motives)
        action, _, roles = self.rng.choice(ACTIONS[motive.action].leads_to).partition(":")
        known = {"A": motive.agent, "B": motive.other}
        agent = known.get(roles[0]) or self._someone(*known.values())
        other = known.get(roles[1:]) or self._someone(agent, *known.values())
        if not {agent, other} <= set(self.cast) or agent == other:
            return None
        made = self._make(action, agent, other, motive.thing if motive.thing in self.things else "")
        return made._replace(cause=motive.core)

    def _make(self, action: str, agent: str, other: str, thing: str = "") -> Event:
        slots = {slot for form in self.grammar.clauses[action] for slot in form[0].slots}
        if "H" in slots:
            thing = self.rng.choice(self.here)
        elif "T" in slots:
            thing = thing or self.rng.choice(self.things)
        else:
            thing = ""
        place = self.rng.choice(self.here) if "H" not in slots and self.rng.random() < 0.4 else ""
        if ACTIONS[action].mutual:
            agent, other = sorted((agent, other))
        return Event(action, agent, other if "B" in slots else "", thing, place)

    def _secret(self) -> Event | None:
        """Tell a crime with the wrong culprit, and remember whose it was: where possible, a namesake's."""
        for _ in range(30):
            namesakes = [name for name in self.cast if self.partner.get(name) in self.cast]
            agent = self.rng.choice(namesakes or self.present)
            culprit = self.partner.get(agent) or self._someone(agent)
            event = self._make(self.rng.choice(CRIMES), agent, self._someone(agent, culprit))
            true = event._replace(agent=culprit, place="", instead_of=agent)
            if self._is_new(event) and self._is_new(true):
                self.used |= {event.core, true.core}
                self.secrets.append((len(self.told), true))
                if event.action == "murder":
                    self._bury(event.other)
                return event
        return None

    def _reveal(self) -> Event:
        index, true = self.secrets.pop(self.rng.randrange(len(self.secrets)))
        self.told[index] = self.told[index]._replace(taken_back=self.length)
        return true


def _mixed(rng: Random, firsts: Sequence[str], seconds: Sequence[str], count: int) -> list[str]:
    """Return different pairs of words, first words different while there are enough."""
    firsts, seconds = rng.sample(firsts, len(firsts)), rng.sample(seconds, len(seconds))
    turns = (
        f"{first} {seconds[(at + turn) % len(seconds)]}"
        for turn in range(len(seconds))
        for at, first in enumerate(firsts)
    )
    return list(islice(turns, count))


def _names(rng: Random) -> Iterator[str]:
    """Yield names, or pairs of confusable ones as "Anna/Anne": real ones first, then made-up pairs."""
    yield from rng.sample(NAMES, len(NAMES))
    stems = [onset.capitalize() + middle for onset in ONSETS for middle in MIDDLES]
    for ending, sibling in zip(ENDINGS[::2], ENDINGS[1::2], strict=False):
        for stem in rng.sample(stems, len(stems)):
            yield f"{stem}{ending}/{stem}{sibling}"


# ---- Judging ----

SENTENCE_WORDS = 11
"""Mean length of a sentence that tells an event."""
LEAST_EVENTS = 5
"""Texts with room for fewer events are measured as if they had room for so many."""
DISORDER = 0.25
"""The share of its quality that a text loses whose events come wholly out of order."""


class Quality(NamedTuple):
    """How good a text is as a summary, each in [0, 1]; see `SyntheticBooks.quality`."""

    coverage: float
    accuracy: float
    coherence: float
    overall: float


class Credit(NamedTuple):
    """What an event earns, each from 0 to 1, that is not among those to be covered."""

    accuracy: float
    coverage: float = 0.0


class _Known:
    """What a judge knows: events in their order, how certain each is, and what to think of any other."""

    def __init__(self, events: Sequence[Event], certainty: Sequence[float], other: Callable[[Event], Credit]) -> None:
        self.certainty, self.other = certainty, other
        self.events = events
        self.weights = [event.importance * sure for event, sure in zip(events, certainty, strict=True)]
        self.best = [0.0, *accumulate(sorted(self.weights, reverse=True))]
        self.places: dict[Core, list[int]] = defaultdict(list)
        for at, event in enumerate(events):
            self.places[event.core].append(at)

    def match(self, event: Event) -> tuple[int, float]:
        """Return which known event this is and the share of it that is told; a share of 0 if none."""
        shares = [(_share_told(event, self.events[at]), -at) for at in self.places.get(event.core, ())]
        share, at = max(shares, default=(0.0, 0))
        return -at, share


def _share_told(event: Event, true: Event) -> float:
    """Return how much of a true event of the same core is told, 0 if any detail is wrong.

    The core makes three parts; place, cause and who was wrongly believed make one each.
    """
    parts = told = 3
    for said, known in zip(event[4:], true[4:], strict=True):
        if said and said != known:
            return 0.0
        parts += bool(known)
        told += bool(said)
    return told / parts


@lru_cache(maxsize=20_000)
def _reports(text: str) -> tuple[list[Event], int]:
    """Return the events that a text tells, and its length in words."""
    return recognise(text), len(words_of(text))


def _judge(text: str, known: _Known) -> Quality:
    """Judge a text by what is known; the formulas stand at `SyntheticBooks.quality`."""
    reports, length = _reports(text)
    gains: dict[int | Event, float] = {}
    order: list[int] = []
    support = 0.0
    for event in reports:
        at, share = known.match(event)
        if share > 0:
            order.append(at)
            gains[at] = max(gains.get(at, 0.0), known.weights[at] * share)
            support += (1 + known.certainty[at]) / 2
        else:
            credit = known.other(event)
            gains[event] = event.importance * credit.coverage
            support += credit.accuracy
    room = max(len(reports), length // SENTENCE_WORDS, LEAST_EVENTS)
    most = known.best[min(room, len(known.events))]
    coverage = min(1.0, sum(gains.values()) / most) if most > 0 else float(not known.events)
    accuracy = support / len(reports) if reports else 1.0
    coherence = longest_rise(order) / len(order) if order else 1.0
    return Quality(coverage, accuracy, coherence, coverage * accuracy * (1 - DISORDER * (1 - coherence)))


def longest_rise(places: Iterable[int]) -> int:
    """Return the length of the longest strictly ascending subsequence (patience sorting)."""
    tops: list[int] = []
    for place in places:
        at = bisect_left(tops, place)
        tops[at : at + 1] = [place]
    return len(tops)


class SyntheticBooks:
    """`count` books of about `words` words each, and the truth about them.

    Book number i of a seed is the same whatever `count` is. Raises InputError unless there is at
    least one book and each has 500 words or more.
    """

    def __init__(self, count: int, words: int = 2000, seed: int = 0) -> None:
        if count < 1 or words < 500:
            raise InputError(f"synthetic books: count must be 1 or more and words 500 or more, got {count} and {words}")
        self.count, self.words, self.seed = count, words, seed
        self.name = f"synthetic-books(count={count}, words={words}, seed={seed})"
        self._known: dict[tuple[str, Span | None], _Known] = {}

    @cached_property
    def books(self) -> list[Book]:
        """The books with their hidden events."""
        return [write_book(self.seed, index, self.words) for index in range(self.count)]

    @cached_property
    def _by_id(self) -> dict[str, Book]:
        return {book.source.id: book for book in self.books}

    def sources(self) -> list[Source]:
        return [book.source for book in self.books]

    def book(self, source: str) -> Book:
        """Return the book of a source, given by its id; raise InputError for an unknown one."""
        if source not in self._by_id:
            raise InputError(f"{self.name} has no source with the id {source!r}")
        return self._by_id[source]

    def gold(self, source: str, span: Span | None, text: str) -> float:
        """Return the overall quality in [0, 1] of a text about a span of a source, given by its id."""
        return self.quality(source, span, text).overall

    def quality(self, source: str, span: Span | None, text: str) -> Quality:
        """Return how good a text is as a summary of a span, or of the whole source (None), and why.

        With w the importance of an event (1 to 10) and n the number of events that the text tells:

        - coverage: the sum over the span's true events of w times the share told, divided by the sum
          of the m largest w in the span, where m is n, or what would fit into the text's words, or
          LEAST_EVENTS, whichever is largest. So a short summary of a long span is measured by what
          so short a text can tell, and a very short one is not flattered.
        - accuracy: the share of the n events that are true of the book (1 if n = 0). Any wrong name,
          place or cause makes an event wrong; one left out only covers less. What the book takes
          back before the span ends is wrong; for a span that ends before, it is true as told.
        - coherence: the longest run of the true ones in the book's order, as a share of them;
          so a repeated event costs as much as a misplaced one.
        - overall: coverage * accuracy * (1 - DISORDER * (1 - coherence)).

        A span without events is covered by any text. Raises InputError for an unknown source.
        """
        return _judge(text, self._truth(source, span))

    def _truth(self, source: str, span: Span | None) -> _Known:
        known = self._known.get((source, span))
        if known is None:
            known = self._known[source, span] = _truth(self.book(source), span)
        return known


def _truth(book: Book, span: Span | None) -> _Known:
    end = len(book.source.text) if span is None else span.end

    def other(event: Event) -> Credit:
        true = (told.event for told in book.by_core.get(event.core, ()) if told.holds(end))
        return Credit(float(any(_share_told(event, each) > 0 for each in true)))

    events = [told.event for told in book.within(span) if told.holds(end)]
    return _Known(events, [1.0] * len(events), other)


# ---- A reader who sees only what a rater is shown ----


def perceived_quality(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return the quality, float64 [k], that a reader sees in each text who knows only the view.

    The formulas are those of `SyntheticBooks.quality`, with what the passages tell for the truth. The
    reader takes in each sentence of the passages with probability `read` (seeded, equal for all
    texts), and the first event if no other. An event from a child whose score is p has its importance
    multiplied by p and counts as (1 + p) / 2 true. What was told in the previous context is true and
    covers nothing. Any other event is false if all was read or if it contradicts what was; else the
    reader may have missed it, and it counts half, in accuracy and in coverage.
    """
    known = _seen(view, float(read), int(seed) if read < 1 else 0)
    return np.asarray([_judge(text, known).overall for text in texts], dtype=np.float64)


class TakenIn(NamedTuple):
    """What a reader took in of passages: events in their order with how certain each is, and what was taken back."""

    certainty: dict[Event, float]
    taken_back: frozenset[Core]


def take_in(view: View, read: float, seed: int, told_by: Callable[[str], Sequence[Event]]) -> TakenIn:
    """Take in each sentence of a view's passages with probability `read`, and the first event if no other.

    `told_by` says which events a sentence tells.
    """
    shown = [
        (told_by(passage.text[start:end]), 1.0 if passage.score is None else passage.score)
        for passage in view.passages
        for start, end in sentences(passage.text)
    ]
    taken_in = np.ones(len(shown)) if read == 1 else generator("reading", view.id, read, seed).random(len(shown)) < read
    every = [(event, sure, kept) for (events, sure), kept in zip(shown, taken_in, strict=True) for event in events]
    told: dict[Event, float] = {}
    for event, certainty in [(event, sure) for event, sure, kept in every if kept] or [each[:2] for each in every[:1]]:
        told[event] = max(certainty, told.get(event, 0.0))
    taken_back = frozenset(event.as_first_told() for event in told if event.instead_of)
    return TakenIn({event: sure for event, sure in told.items() if event.core not in taken_back}, taken_back)


@lru_cache(maxsize=2048)
def _seen(view: View, read: float, seed: int) -> _Known:
    certainty, taken_back = take_in(view, read, seed, lambda sentence: [told] if (told := _read(sentence)[0]) else [])
    refuted = taken_back | {event.core for event in certainty}
    before = set(recognise(view.context))

    def other(event: Event) -> Credit:
        if event in before:
            return Credit(1.0)
        return Credit(0.0) if read == 1 or event.core in refuted else Credit(0.5, 0.5)

    return _Known(list(certainty), list(certainty.values()), other)
