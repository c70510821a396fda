"""Where surnames come from, as far as the benchmarks tell groups apart, and the names that the census does not part.

An origin is that of the *name*, for error rates by group; it says nothing about any person.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["GIVENS", "ORIGINS", "SURNAMES", "Givens", "Origin", "OriginRates"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


class Origin(StrEnum):
    EUROPEAN = "european"
    BLACK = "black"
    HISPANIC = "hispanic"
    VIETNAMESE = "vietnamese"
    CHINESE = "chinese"
    SOUTH_ASIAN = "south_asian"
    ARABIC = "arabic"
    OTHER_ASIAN = "other_asian"
    NATIVE = "native"


class OriginRates(NamedTuple):
    """share: of the population. rare: of its people, those whose surname is too rare for the census' table.

    new_year: how many were given 1 January as their birth date when papers were first made out. a_number: how many have
    an alien registration number.
    """

    share: float
    rare: float
    new_year: float
    a_number: float


ORIGINS: Final[dict[Origin, OriginRates]] = {
    Origin.EUROPEAN: OriginRates(0.35, 0.13, 0.0, 0.01),
    Origin.BLACK: OriginRates(0.27, 0.09, 0.001, 0.01),
    Origin.HISPANIC: OriginRates(0.28, 0.07, 0.004, 0.25),
    Origin.VIETNAMESE: OriginRates(0.012, 0.02, 0.03, 0.3),
    Origin.CHINESE: OriginRates(0.012, 0.04, 0.005, 0.3),
    Origin.SOUTH_ASIAN: OriginRates(0.014, 0.2, 0.03, 0.3),
    Origin.ARABIC: OriginRates(0.014, 0.25, 0.1, 0.3),
    Origin.OTHER_ASIAN: OriginRates(0.023, 0.15, 0.005, 0.2),
    Origin.NATIVE: OriginRates(0.025, 0.12, 0.0, 0.0),
}
"""Shares are a choice, not a measurement: near the mix of a large American jail, every group large enough to count."""

SURNAMES: Final[dict[Origin, tuple[str, ...]]] = {
    Origin.VIETNAMESE: _words(
        "NGUYEN TRAN LE PHAM HUYNH HOANG VO PHAN VU DANG BUI DO HO NGO DUONG LY TRUONG DINH LAM TRINH DOAN LUU MAI "
        "CAO THAI VUONG TA DAO HA LUONG LUC QUACH TON NGHIEM KIEU CHAU TIEU HUA DIEP VAN THACH BANH PHUNG LA"
    ),
    Origin.CHINESE: _words(
        "WANG LI ZHANG LIU CHEN HUANG ZHAO WU ZHOU XU SUN MA ZHU HU LIN GUO HE GAO LUO ZHENG LIANG XIE TANG HAN FENG "
        "DONG CHENG YUAN DENG ZENG PENG SU LU JIANG CAI JIA DING WEI XUE YE PAN DU DAI XIA TIAN FAN FANG SHI YAO TAN "
        "LIAO ZOU JIN LEI WONG CHAN CHANG LAU CHU CHEUNG LEUNG NG KWAN MEI QIU WEN YIN YAN YUE SHEN SONG QIN REN QIAN "
        "ZHONG KONG TSAI HSU HSIEH TSENG CHIANG KUO LAI CHOW FONG MOY ENG"
    ),
    Origin.SOUTH_ASIAN: _words(
        "PATEL SINGH SHAH KHAN KUMAR SHARMA GUPTA REDDY RAO MEHTA DESAI KAUR JOSHI GANDHI CHAUDHRY MALIK HUSSAIN "
        "CHOWDHURY RAHMAN ISLAM BEGUM DAS NAIR PATIL MISHRA AGARWAL VERMA JAIN MENON IYER SYED SIDDIQUI QURESHI BUTT "
        "RANA MIAH GILL SANDHU DHILLON SIDHU GREWAL BRAR THAPA GURUNG TAMANG SHRESTHA PARIKH TRIVEDI BHATT PANDYA "
        "AMIN KAPOOR MALHOTRA CHOPRA BAJWA VIRK HAQUE UDDIN HOSSAIN KARIM RAI ADHIKARI BHANDARI KHATRI"
    ),
    Origin.ARABIC: _words(
        "ALI AHMED HASSAN MOHAMED MOHAMMED HUSSEIN ABDULLAH IBRAHIM OMAR SALEH AHMAD KHALIL MANSOUR HADDAD NASSER "
        "SALEM YOUSEF SULEIMAN HAMDAN KHOURY AWAD ABBAS MUSTAFA JABER QASIM SALIH ELSAYED ABDALLA OSMAN FARAH AZIZ "
        "HAMID NASR MAHMOUD MUSA YUSUF JAMA WARSAME ABDI HAMAD SHAHEEN SHEIKH HASAN MOHAMMAD ABDO ABDULLA ABDELRAHMAN "
        "ALSHAMMARI ALHARBI KASSEM HAMMOUD FAYAD BAZZI BEYDOUN SAAD KARAM DARWISH ODEH SHEHATA ATTIA GERGES"
    ),
}
"""Surnames that the census counts as Asian or white and that one origin mostly bears."""


class Givens(NamedTuple):
    """Given names by falling frequency, and the share of people who have one of them (others have a census name).

    head: name r of the list is weighed by 1 / (r + head): the smaller, the commoner are the first ones.
    """

    share: float
    head: int
    male: tuple[str, ...]
    female: tuple[str, ...]


GIVENS: Final[dict[Origin, Givens]] = {
    Origin.VIETNAMESE: Givens(
        0.5,
        20,
        _words(
            "MINH HUNG DUNG TUAN HOANG NAM THANH LONG DUC PHUC TRUNG QUANG HAI KHANH BINH SON HIEU CUONG TAM THINH "
            "TIEN VINH KIET PHONG TRI HUY DAT BAO LOC PHUONG TAN AN TOAN NGHIA VIET THIEN LAM HAU HOA KHOA"
        ),
        _words(
            "LAN HUONG THUY LINH PHUONG HOA MAI NGA TRANG THU HANG NGOC LOAN YEN HONG KIM DUNG HANH TUYET VAN THAO ANH "
            "NHUNG CHAU TRINH BICH CUC DIEM HIEN MY NHI OANH QUYEN THANH TRAM UYEN VY XUAN"
        ),
    ),
    Origin.CHINESE: Givens(
        0.45,
        20,
        _words(
            "WEI MING JIAN HUI YONG JUN HAO LEI PENG FENG TAO BO GANG QIANG BIN KAI LONG XIN YI CHAO DONG HONG JIE KUN "
            "LIANG NING PING RUI SHENG TIAN XIANG YANG YU ZHI ZHONG GUANG CHENG WENBIN JIANHUA XIAOMING GUOQIANG "
            "ZHIGANG JIAHAO HAORAN YUXUAN MINGHUI"
        ),
        _words(
            "LI YAN MEI JING HONG YING FANG XIA LING JUAN QIN XIN HUI NA MIN YUN PING LAN HUA DAN QING RONG WEN XUE "
            "YU ZHEN LIN SHU TING YI XIAOLI MEILING YANHONG LIHUA XIUYING JINGYI YUTONG SHUFEN"
        ),
    ),
    Origin.SOUTH_ASIAN: Givens(
        0.6,
        20,
        _words(
            "AMIT RAJESH SANJAY RAVI ANIL SURESH VIJAY RAJ MOHAMMAD SANDEEP DEEPAK KIRAN MANISH RAHUL NARENDRA PRAKASH "
            "HARPREET GURPREET MANPREET SUKHDEV JASWINDER BALWINDER ASHOK DINESH MUKESH HITESH JAYESH BHARAT IMRAN "
            "FAISAL ASIF TARIQ KAMRAN SHAHID NAVEED ABDUL RAKESH VIKRAM ARJUN KRISHNA HARI BISHAL SURAJ"
        ),
        _words(
            "PRIYA ANITA SUNITA POOJA NEHA KAVITA MEENA REKHA ANJALI DIVYA SEEMA RITU SHITAL HARPREET MANPREET "
            "JASPREET KIRANJIT AMANDEEP FATIMA AYESHA SANA NADIA SHABANA RUKHSANA LAKSHMI SITA GITA RADHA USHA ASHA "
            "NISHA JYOTI HETAL BHAVNA KOMAL SNEHA"
        ),
    ),
    Origin.ARABIC: Givens(
        0.65,
        5,
        _words(
            "MOHAMED AHMED MOHAMMED ALI OMAR MOHAMMAD HASSAN MAHMOUD IBRAHIM YOUSEF KHALED MUSTAFA ABDULLAH HUSSEIN "
            "AHMAD ABDUL SAMIR TAREK KARIM NABIL JAMAL ZIAD WALID AMIR BASSAM FADI HANI IMAD KAMAL MARWAN NADER OSAMA "
            "RAMI SALEH SAMI TAHA USAMA WISSAM YASIR ZAID ABDIRAHMAN ABDI MUSE ISMAIL ABDELRAHMAN MUHAMMAD"
        ),
        _words(
            "FATIMA MARIAM AISHA NOUR SARA ZAINAB AMINA LAYLA HANAN IMAN KHADIJA RANIA SAMIRA NADIA HUDA SALMA YASMIN "
            "DINA HEBA MAHA NAJWA RASHA REEM SAFIYA SOUAD WAFA ZAHRA HALIMO FADUMO HODAN ASMA GHADA MONA"
        ),
    ),
}
