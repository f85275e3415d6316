"""Names of people, places and things."""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

from tasks.synthetic_book.tables import listed

NAMES = listed("""
    Anna/Anne Marin/Maron Clara/Clare Elias/Elijah Tobin/Tobias Lena/Lina Edmund/Edmond Simon/Simeon Helen/Helena
    Martin/Marten Julia/Julian Nora/Norah Stefan/Steven Leon/Leona Dorin/Doran Mira/Myra Silas/Silvan Petra/Peter
    Ivor/Ivan Hester/Esther Bram/Bran Corin/Coran Elsa/Ilsa Jonas/Jonah Gerda/Greta Alma/Elma Rufus/Rufin
    Adela/Adele Conrad/Konrad Magda/Magna Oswin/Oswald Theo/Thea Louis/Louise Harald/Harold Celia/Delia Emil/Emily
    Victor Beatrix Walter Sabine Gregor Matilda Ambrose Cordelia Lucas Winifred Basil Ottilie Hugo Philippa Casimir
    Rosalind Ferdinand Agnes Barnaby Ursula Duncan Isolde Malcolm Yvette Quentin Zelda Lambert Phoebe Roderick Vera
""")
ONSETS = listed("""
    B Br C D Dr F G Gr H J K L M N P R S St T Tr V W
""")
MIDDLES = listed("""
    al ar el en er il im in ol on or ul
""")
ENDINGS = listed("""
    an as en ia ik is mond na or ric ta win
""")
PLACE_NAMES = listed("""
    Harrow Ashby Blackwater Crane Dunmore Elder Fallow Gallows Hazel Ironside Kestrel Lantern Mallow Nettle Orchard
    Penrose Quarry Raven Sallow Thorn Upper Vesper Willow Yarrow Amber Bishop Copper Drover Ember Falcon Gorse Heron
    Juniper King Lower Merrow North Otter Priory Rowan South Tanner Weaver Abbey Barrow Cinder Dover Foxley Gannet
""")
PLACE_KINDS = listed("""
    Mill Quay Inn Chapel Bridge House Farm Lane Square Market Tower Hall Abbey Lodge Cottage Court Street Wharf
    Castle Gate Ferry Priory Station Gardens
""")
THING_MARKS = listed("""
    brass silver blue sealed ivory leather painted broken gilded black red walnut iron green torn copper amber pearl
    wooden ancient
""")
THINGS = listed("""
    key ledger letter locket map diary compass ring watch box portrait chart deed casket violin pistol seal necklace
    medal bell mirror goblet dagger crown
""")


def mixed(rng: Random, firsts: Sequence[str], seconds: Sequence[str], count: int) -> list[str]:
    """Return different pairs of words, first words different while there are enough."""
    firsts, seconds = rng.sample(firsts, len(firsts)), rng.sample(seconds, len(seconds))
    turns = (
        f"{first} {seconds[(at + turn) % len(seconds)]}"
        for turn in range(len(seconds))
        for at, first in enumerate(firsts)
    )
    return list(islice(turns, count))


def names(rng: Random) -> Iterator[str]:
    """Yield names, or pairs of confusable ones as "Anna/Anne": real ones first, then made-up pairs."""
    yield from rng.sample(NAMES, len(NAMES))
    stems = [onset.capitalize() + middle for onset in ONSETS for middle in MIDDLES]
    for ending, sibling in zip(ENDINGS[::2], ENDINGS[1::2], strict=False):
        for stem in rng.sample(stems, len(stems)):
            yield f"{stem}{ending}/{stem}{sibling}"
