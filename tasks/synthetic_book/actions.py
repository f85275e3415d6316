"""What can happen in a book, how important it is, what it leads to, and how it is told."""

from typing import NamedTuple


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
RUMOURED = tuple(name for name in PLOT if name != "murder")
REVEALED = 10
"""Importance of an event told to set an earlier telling right."""
