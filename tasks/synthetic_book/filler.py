"""Sentences that tell no event: weather, meals, furniture and talk."""

from tasks.synthetic_book.tables import lines

FILLER = lines("""
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
