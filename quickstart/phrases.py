"""The vocabulary of the generated sample: words of questions and words of their replies.

A reply shares no content word with its question. A question names a thing from
`Topic.asked` and a trouble from `Trouble.asked`; its reply uses words from
`Topic.answered` and `Trouble.answered`. Keyword overlap therefore carries no
information, and a model has to learn which words answer which.
"""

from typing import NamedTuple


class Topic(NamedTuple):
    """One subject: its subreddit, words of questions and words of replies."""

    subreddit: str
    asked: tuple[str, ...]
    answered: tuple[str, ...]


class Trouble(NamedTuple):
    """One kind of trouble: phrases that state it and phrases that solve it."""

    asked: tuple[str, ...]
    answered: tuple[str, ...]


def _topic(line: str) -> Topic:
    subreddit, asked, answered = (part.split() for part in line.split("|"))
    return Topic(subreddit[0], tuple(asked), tuple(answered))


# subreddit | words of questions | words of replies
TOPICS: tuple[Topic, ...] = tuple(
    _topic(line)
    for line in """
Breadit | sourdough loaf baguette | starter crumb proofing
Breadit | croissant brioche pastry | butter lamination folds
Coffee | espresso latte cappuccino | grinder tamping crema
Coffee | pourover aeropress percolator | filter bloom burr
tea | oolong matcha sencha | steeping gaiwan leaves
Cooking | omelette frittata scramble | skillet whisk eggs
Cooking | curry vindaloo korma | turmeric simmer cumin
Cooking | steak brisket ribeye | searing thermometer resting
Pizza | margherita calzone pepperoni | mozzarella semolina stone
gardening | tomatoes peppers eggplants | trellis fertilizer compost
gardening | roses hydrangeas peonies | pruning mulch aphids
houseplants | monstera pothos fern | repotting drainage humidity
lawncare | lawn meadow turf | mower aeration seed
bicycling | bicycle tandem cruiser | derailleur chain spokes
MTB | hardtail singletrack enduro | suspension dropper tubeless
running | marathon jogging sprint | cadence shoes intervals
swimming | freestyle backstroke medley | goggles kickboard flipturn
climbing | bouldering crag belay | chalk fingerboard harness
skiing | slalom powder piste | bindings wax edges
yoga | asana vinyasa headstand | breathing mat stretching
weightlifting | deadlift squat bench | barbell plates spotter
chess | gambit endgame checkmate | rook tempo pawns
boardgames | catan carcassonne pandemic | meeples tiles dice
Guitar | guitar ukulele banjo | strings frets pick
piano | piano sonata nocturne | pedal scales metronome
drums | drumkit snare cymbal | sticks rudiments hihat
violinist | violin cello viola | bow rosin vibrato
synthesizers | synth sequencer modular | oscillator patch envelope
photography | portrait landscape bokeh | aperture lens tripod
astronomy | nebula saturn galaxy | telescope eyepiece mount
birding | warbler falcon heron | binoculars migration plumage
Aquariums | guppies goldfish cichlids | heater nitrates gravel
dogs | puppy beagle retriever | leash kibble crate
cats | kitten tabby siamese | litter scratching purring
Equestrian | pony stallion dressage | saddle bridle hooves
Beekeeping | beehive swarm apiary | smoker queen frames
woodworking | bookshelf dovetail cabinet | chisel sanding clamps
knitting | sweater scarf mittens | yarn needles gauge
sewing | dress curtains quilt | bobbin thread hem
pottery | vase teapot bowl | kiln glaze wheel
Welding | railing gate chassis | torch electrode flux
3Dprinting | figurine bracket prototype | nozzle filament bed
electronics | amplifier radio oscilloscope | solder capacitor multimeter
raspberry_pi | raspberry kiosk mediacenter | sdcard gpio firmware
linux | laptop desktop server | kernel driver distro
learnpython | script notebook crawler | traceback virtualenv indentation
databases | query table replica | index transaction vacuum
networking | router modem wifi | firmware channel ethernet
cars | sedan hatchback coupe | alternator gasket coolant
motorcycles | motorcycle scooter moped | carburetor throttle sprocket
sailing | sailboat dinghy regatta | rigging keel spinnaker
flying | cessna glider cockpit | rudder altimeter flaps
camping | tent campsite hammock | stakes tarp lantern
fishing | trout salmon bass | lure reel bait
travel | hostel itinerary layover | passport luggage visa
personalfinance | mortgage pension savings | interest index refinance
tax | deduction refund audit | receipts form accountant
parenting | toddler newborn tantrum | naptime routine patience
sleep | insomnia nap jetlag | melatonin blackout mattress
skincare | acne eczema wrinkles | sunscreen retinol moisturizer
Dentistry | toothache crown braces | floss enamel molar
movies | sequel trilogy thriller | director plot casting
books | novel memoir poetry | author chapter prose
languagelearning | spanish japanese finnish | grammar flashcards verbs
""".strip().splitlines()
)

TROUBLES: tuple[Trouble, ...] = tuple(
    Trouble(tuple(asked.strip().split(" / ")), tuple(answered.strip().split(" / ")))
    for asked, answered in (
        line.split("|")
        for line in """
keeps falling apart / broke in half again | glue or reinforce it / a stronger joint fixes that
is far too expensive / costs a fortune here | wait for a sale / buy it used
makes a strange noise / is so loud lately | listen where the rattle sits / tighten whatever is loose
smells really bad / stinks since friday | rinse it with vinegar / air it out and scrub
turned green overnight / has an odd colour | that is oxidation / blame the copper
is too slow for me / takes forever now | speed comes with practice / upgrade step by step
went missing yesterday / vanished from the porch | call the police / put up a poster
feels too hard for a beginner / confuses me a lot | start with lesson one / find a patient teacher
gets way too hot / overheats by noon | let it cool down / add a fan and shade
freezes every winter / is ice cold | insulate well / warm it slowly
leaks water everywhere / is soaked again | seal the crack / dry everything first
hurts my back / makes my wrist ache | fix your posture / see a physio
bores me by now / is not fun anymore | take a break / set yourself a challenge
arrived with the wrong size / does not fit | send the parcel back / measure twice
scares my grandmother / worries the neighbours | talk with them kindly / invite everybody over
was a gift from my boss / came from an uncle | write a thank you note / return the favour
""".strip().splitlines()
    )
)

QUESTIONS = (
    "My {thing} {trouble}, any ideas?",
    "So the {thing} {trouble}. What now?",
    "Help, this {thing} {trouble}!",
    "Is it normal that a {thing} {trouble}?",
    "{trouble_first} - the {thing}, I mean. Anyone else?",
)

REPLIES = (
    "Easy: {fix}, and check the {hint} too.",
    "I would {hint_verb} the {hint}. Also, {fix}.",
    "{fix_first}. Worked for me, it was the {hint}.",
    "Look at the {hint} and {fix}, trust me.",
    "Been there. {fix_first}, then the {hint} behaves.",
)

HINT_VERBS = ("inspect", "mind", "swap", "question")
SMALL_TALK = ("Thanks!", "Ha, same here lol.", "This. So much this.", "Good luck with it.")
