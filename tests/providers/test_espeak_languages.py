"""Every language that espeak-ng offers comes out as words, not as names of letters."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import espeakng_loader
import pytest

from providers.espeak.languages import Catalogue
from tests.providers.espeak_at_work import opened, order, seconds

SENTENCES = {
    "af": "Alle menslike wesens word vry, met gelyke waardigheid en regte, gebore.",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق",
    "az": "Bütün insanlar ləyaqət və hüquqlarına görə azad və bərabər doğulurlar.",
    "be": "Усе людзі нараджаюцца свабоднымі і роўнымі ў сваёй годнасці і правах.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права.",
    "bn": "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে",
    "ca": "Tots els éssers humans neixen lliures i iguals en dignitat i en drets.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "cy": "Genir pawb yn rhydd ac yn gydradd â'i gilydd mewn urddas a hawliau.",
    "da": "Alle mennesker er født frie og lige i værdighed og rettigheder.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
    "en": "All human beings are born free and equal in dignity and rights.",
    "eo": "Ĉiuj homoj estas denaske liberaj kaj egalaj laŭ digno kaj rajtoj.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "et": "Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt.",
    "eu": "Gizon-emakume guztiak aske jaiotzen dira, duintasun eta eskubide berberak dituztela.",
    "fa": "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "ga": "Saolaítear na daoine uile saor agus comhionann ina ndínit agus ina gcearta.",
    "gu": "પ્રતિષ્ઠા અને અધિકારોની દૃષ્ટિએ સર્વ માનવો જન્મથી સ્વતંત્ર અને સમાન હોય છે",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है",
    "hr": "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima.",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van.",
    "hy": "Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ ու իրավունքներով",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama.",
    "is": "Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
    "ja": "こんにちは、みなさん。きょうはいいてんきですね。",
    "ka": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით",
    "kk": "Барлық адамдар тумысынан азат және қадір-қасиеті тең болып дүниеге келеді",
    "kn": "ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿಯೇ ಜನಿಸಿದ್ದಾರೆ ಹಾಗೂ ಘನತೆ ಮತ್ತು ಹಕ್ಕುಗಳಲ್ಲಿ ಸಮಾನರಾಗಿದ್ದಾರೆ",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "la": "Omnes homines dignitate et iure liberi et pares nascuntur.",
    "lt": "Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis.",
    "lv": "Visi cilvēki piedzimst brīvi un vienlīdzīgi savā pašcieņā un tiesībās.",
    "mk": "Сите човечки суштества се раѓаат слободни и еднакви по достоинство и права.",
    "ml": "മനുഷ്യരെല്ലാവരും തുല്യാവകാശങ്ങളോടും അന്തസ്സോടും സ്വാതന്ത്ര്യത്തോടുംകൂടി ജനിച്ചവരാണ്",
    "mr": "सर्व मनुष्यजात जन्मतःच स्वतंत्र आहे व सर्वजणांना समान प्रतिष्ठा आहे",
    "ms": "Semua manusia dilahirkan bebas dan samarata dari segi kemuliaan dan hak-hak.",
    "nb": "Alle mennesker er født frie og med samme menneskeverd og menneskerettigheter.",
    "ne": "सबै व्यक्तिहरू जन्मजात स्वतन्त्र हुन् ती सबैको समान अधिकार र महत्व छ",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
    "pa": "ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ ਆਪਣੀ ਮਹਿਮਾ ਸ਼ਾਨ ਅਤੇ ਹੱਕਾਂ ਦੇ ਪੱਖੋਂ ਜਨਮ ਤੋਂ ਹੀ ਆਜ਼ਾਦ ਹੈ",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "si": "සියලු මනුෂ්‍යයෝ නිදහස්ව උපත ලබා ඇත. ගරුත්වයෙන් හා අයිතිවාසිකම්වලින් සමාන වෙති",
    "sk": "Všetci ľudia sa rodia slobodní a sebe rovní, čo sa týka ich dôstojnosti a práv.",
    "sl": "Vsi ljudje se rodijo svobodni in imajo enako dostojanstvo in enake pravice.",
    "sq": "Të gjithë njerëzit lindin të lirë dhe të barabartë në dinjitet dhe në të drejta.",
    "sr": "Сва људска бића рађају се слободна и једнака у достојанству и правима.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter.",
    "sw": "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa.",
    "ta": "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்",
    "te": "ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును జన్మతః స్వతంత్రులును సమానులును నగుదురు",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
    "ur": "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "yue": "人人生而自由，在尊嚴和權利上一律平等。",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
}
"""From Article 1 of the Universal Declaration of Human Rights."""

DENSE = {"ja", "ko", "yue", "zh"}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(Path(espeakng_loader.get_data_path()))


async def test_a_sentence_of_each_language_has_a_plausible_length() -> None:
    async with opened() as espeak:
        languages = espeak.offers()["espeak-ng"].languages or frozenset()
        assert languages >= SENTENCES.keys()
        for language, sentence in SENTENCES.items():
            letters = sum(unicodedata.category(letter)[0] in "LM" for letter in sentence)
            pace = letters / await seconds(espeak, order(sentence, language))
            slowest, fastest = (3, 8) if language in DENSE else (8, 23)
            assert slowest < pace < fastest, f"{language}: {pace:.1f} letters a second"


async def test_every_language_and_every_voice_on_offer_speaks() -> None:
    async with opened() as espeak:
        for language in espeak.offers()["espeak-ng"].languages or ():
            assert 0.2 < await seconds(espeak, order("1 2", language)) < 4, language
            assert 0.3 < await seconds(espeak, order("2026", language)) < 6, language
        voices = await espeak.voices()
        assert len({voice.id for voice in voices}) == len(voices)
        for voice in voices:
            assert 0.2 < await seconds(espeak, order("1 2", "en", voice=voice.id)) < 4, voice.id


@pytest.mark.parametrize("language", ["th", "hak", "fo", "my", "he", "cv", "fil", "tlh", "xex"])
def test_a_language_that_is_spelled_out_or_silent_is_not_offered(
    catalogue: Catalogue, language: str
) -> None:
    assert language not in catalogue.languages()
    assert catalogue.voice_for(language, None) is None


def test_voices_tell_their_language_as_bcp_47(catalogue: Catalogue) -> None:
    voices = {voice.id: voice for voice in catalogue.voices()}
    assert voices["en"].languages == ("en-GB",)
    assert voices["en-us+f3"].languages == ("en-US", "en")
    assert voices["en-us+f3"].gender == "female"
    assert voices["cmn"].languages == ("cmn", "zh")
    assert voices["es-419"].languages == ("es-419",)
    assert "en-gb-x-rp" not in voices
    assert catalogue.voice_for("en-GB-x-rp", None) == "en-gb-x-rp"
